//! The executor SDK: what the author of a plugin depends on, and all that a plugin can see of Longhaul.
//!
//! An executor is called at least once for every turn of a task: when a worker dies in the middle, another one calls it again
//! with the next attempt, and what the lost attempt had written stays in the record until this one replaces or continues it.
//! What an executor reports is kept in order; what [`TaskContext::flush`] has confirmed survives any crash, and what a
//! [`TaskContext::step`] has done is not done again.
//!
//! ```
//! use async_trait::async_trait;
//! use longhaul_executor::prelude::*;
//!
//! struct Shout;
//!
//! #[async_trait]
//! impl Executor for Shout {
//!     fn descriptor(&self) -> ExecutorDescriptor {
//!         ExecutorDescriptor::text("shout", "1.0.0", "Says it louder").expect("a valid name")
//!     }
//!
//!     async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
//!         let loud = ctx.resolve(ctx.message().clone()).await?.text().to_uppercase();
//!         ctx.artifact(ctx.new_artifact(vec![Part::text(loud)])).await?;
//!         Ok(Outcome::Completed(None))
//!     }
//! }
//! ```

mod artifact;
mod assignment;
mod check;
mod context;
mod error;
mod executor;
mod io;
mod outcome;
mod step_error;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use artifact::{ArtifactSpec, ArtifactWriter};
pub use assignment::Assignment;
pub use check::InvalidOutput;
pub use context::{MessageContent, OpenStep, ProducedArtifact, StepStart, TaskContext};
pub use error::{ContextError, ExecutorError};
pub use executor::{Executor, ExecutorDescriptor, RetryBackoff, RunPolicy};
pub use io::{OutputStopped, TaskIo, TaskIoError};
pub use longhaul_domain as domain;
pub use outcome::{ExecutorFailure, Outcome};
pub use step_error::StepError;

/// What most executors import.
pub mod prelude {
    pub use crate::{
        ArtifactSpec, ContextError, Executor, ExecutorDescriptor, ExecutorError, ExecutorFailure,
        Outcome, OutputStopped, RetryBackoff, RunPolicy, TaskContext,
    };
    pub use longhaul_domain::{
        AgentDescriptor, AgentName, Artifact, ArtifactId, Content, Json, JsonObject, Message, Part,
        Role, Skill, extension::Extension,
    };
}

/// The examples of the documentation compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/executors.md")]
struct Documentation;
