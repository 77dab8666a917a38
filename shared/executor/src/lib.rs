//! The executor SDK: everything that the author of a plugin depends on, and everything that a
//! plugin sees of Longhaul.
//!
//! A worker calls an executor at least once for every turn of a task. When the worker dies midway,
//! another one calls the executor again with the next attempt. Whatever the lost attempt had
//! written stays in the record until the new attempt replaces or continues it.
//!
//! Output is kept in order. Output that [`TaskContext::flush`] has confirmed survives any crash,
//! and a finished [`TaskContext::step`] is never repeated.
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

#![warn(missing_docs, clippy::missing_errors_doc)]

mod artifact;
mod assignment;
mod check;
mod context;
mod error;
mod executor;
mod outcome;
mod step_error;
mod task_io;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use artifact::{ArtifactSpec, ArtifactWriter};
pub use assignment::Assignment;
pub use check::InvalidOutput;
pub use context::{MessageContent, OpenStep, ProducedArtifact, StepStart, TaskContext};
pub use error::{ContextError, ExecutorError};
pub use executor::{Executor, ExecutorDescriptor, RetryBackoff, RunPolicy};
pub use longhaul_domain as domain;
pub use outcome::{ExecutorFailure, Outcome};
pub use step_error::StepError;
pub use task_io::{OutputStopped, TaskIo, TaskIoError};

/// The items that most executors import.
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

/// Compiles the examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/executors.md")]
struct Documentation;
