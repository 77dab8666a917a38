//! Wake-ups: how a worker learns that there is work, without being a place where work can be lost.
//!
//! A message is a hint and nothing more; the store is the truth. A hint that is lost, doubled, purged, late or never sent
//! costs latency, because idle workers probe the store. So nothing here waits for a broker: [`Waker::wake`] returns at once,
//! a source with a dead broker is merely silent, and a crash in the middle of anything loses or repeats hints only.
//!
//! Two dispatchers pass one conformance suite: [`AmqpDispatch`] over RabbitMQ and [`LocalDispatch`] within a process. Where there
//! is neither, the composition root passes hints on through the store.

pub mod amqp;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod counters;
mod delivery;
mod local;
mod seam;

pub use amqp::{AmqpDispatch, AmqpOptions};
pub use counters::DispatchCounts;
pub use delivery::{Delivery, DeliveryDecision};
pub use local::LocalDispatch;
pub use seam::{Dispatch, DispatchError, WakeHint, WakeSource, Waker};
