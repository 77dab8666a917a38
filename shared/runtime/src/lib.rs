//! Process infrastructure: settings, logging and tracing, time, ids, backoff, supervised tasks,
//! readiness and graceful shutdown.
//!
//! Nothing here is durable; a crash loses in-memory state only. This is the only crate that may
//! read the system clock, generate random ids or spawn tasks directly; all others receive them as
//! parameters.

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
