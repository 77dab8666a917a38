//! A model of one task's life, small enough to explore completely.
//!
//! [`TaskModel`] is what a store keeps of one task. Its methods give the same outcomes and entries
//! as the traits promise, without clock, disk or concurrency. The tests here put it between two
//! workers, a client, a reaper and a network that loses answers and delivers late. They explore
//! every interleaving of small configurations: no state may violate an invariant, and an end must
//! be reachable from each. To show that a mistake would be noticed, each rule is
//! disabled once. The conformance suite then walks at random through the model and
//! a store side by side, so that the store behaves like what was explored.

mod disabled;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod invariants;
mod settle;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod violation;
#[cfg(test)]
mod worker;
#[cfg(test)]
mod world;

pub(crate) use settle::SettleKind;
pub(crate) use task::{
    CancelState, DueState, LossOutcome, ModelClaim, ModelEntry, ModelFence, ModelLog, ModelWrite,
    TaskModel,
};
