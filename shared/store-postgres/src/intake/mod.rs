//! What API nodes write: messages that make tasks, messages to tasks, and wishes to cancel.

pub mod accept_new;
pub mod cancel;
pub mod follow_up;
pub mod known;
