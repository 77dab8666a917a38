//! Wake-ups, by which workers learn of new work. They never carry work, so losing them loses none.
//!
//! A message is only a hint; the store is the source of truth. Lost, duplicated, purged, late and
//! missing hints cost latency, because idle workers poll the store. So nothing waits for a broker:
//! [`Waker::wake`] returns at once, a source without broker is silent, and a crash loses or repeats
//! hints only.
//!
//! Two dispatchers pass one conformance suite (`tests/dispatch-kit`): [`AmqpDispatch`] over
//! RabbitMQ and [`LocalDispatch`] within a process. Without either, the composition root passes
//! hints through the store.

pub mod amqp;
mod counters;
mod delivery;
mod local;
#[cfg(test)]
mod testing;
mod traits;

pub use amqp::{AmqpDispatch, AmqpOptions};
pub use counters::DispatchCounts;
pub use delivery::{Delivery, DeliveryDecision, WakeHint};
pub use local::LocalDispatch;
pub use traits::{Dispatch, DispatchError, WakeSource, Waker};
