//! The life of one task as a model: small enough to look at every way it can go.
//!
//! A [`Record`] is what a store keeps of one task, and its methods are what the traits promise, without clock, disk or
//! concurrency: the same outcomes, the same entries. It serves twice. The tests in here put it between two workers, a
//! client, a reaper and a network that loses answers and delivers late, and explore every interleaving of small
//! configurations; in every state nothing must be wrong and an end must be within reach. To show that they would notice,
//! each rule is [`Broken`] once. And the conformance suite walks at random through model and store side by side, so what
//! was explored is what is built.

mod broken;
#[cfg(test)]
mod explore;
mod record;
mod settle;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worker;
#[cfg(test)]
mod world;
#[cfg(test)]
mod wrong;

pub(crate) use record::{Cancel, Desk, Due, Entry, Handed, Loss, Record, Ticket};
pub(crate) use settle::{How, Write};
