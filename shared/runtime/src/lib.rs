//! What every Longhaul process needs before it does any work: settings, logging and traces, time, ids, back-off, supervised
//! tasks, readiness and an orderly end.
//!
//! Nothing here is durable: a crash in the middle of any of these modules loses only what the process itself held. This is
//! the only crate that may read the machine's clock, make random ids or start a task by itself; all others are given them.

pub mod backoff;
pub mod clock;
pub mod ids;
pub mod lifecycle;
pub mod readiness;
pub mod secret;
pub mod settings;
pub mod spawn;
pub mod telemetry;
pub mod trace_context;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use ids::{IdSource, SeededIds, SystemIds};
pub use lifecycle::{DrainOutcome, Shutdown};
pub use readiness::Readiness;
pub use secret::{Secret, redact_url};
pub use settings::Settings;
pub use spawn::{TaskSet, spawn};
pub use trace_context::TraceContext;
