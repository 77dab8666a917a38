//! Load on a stack: waiting sends of `echo`, each answer checked.

mod closed;
mod ids;
mod open;
mod paced;
mod stream;

pub use closed::{Closed, ClosedLoop};
pub use open::OpenLoop;
pub use paced::{Heard, PacedStream, Window};
pub use stream::{Streamed, stream};

use crate::stack::Stack;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long the last answers of a load may take.
const END_LIMIT: Duration = Duration::from_secs(120);

/// A number that no other message of this run has, for [`crate::http::Message::body`] and [`crate::http::message_id`].
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The addresses of so many connections: the nodes of the stack, in turn.
fn addresses(stack: &Stack, connections: usize) -> Vec<String> {
    let nodes: Vec<_> = stack.nodes().map(|node| node.base.clone()).collect();
    nodes.into_iter().cycle().take(connections).collect()
}
