//! Topics that are behind their logs, in the order in which they fell behind. Each is served in
//! turn; none is visited without reason.

use longhaul_domain::TaskKey;
use std::collections::{HashSet, VecDeque};

/// FIFO queue of topics without duplicates.
#[derive(Default)]
pub struct CatchUpQueue {
    order: VecDeque<TaskKey>,
    known: HashSet<TaskKey>,
}

impl CatchUpQueue {
    /// Appends a topic, unless it is queued already.
    pub fn add(&mut self, key: TaskKey) {
        // A topic that is queued already is read for all its reasons at once.
        if self.known.insert(key) {
            self.order.push_back(key);
        }
    }

    /// Takes the first `max` topics.
    pub fn take(&mut self, max: usize) -> Vec<TaskKey> {
        let taken: Vec<TaskKey> = self.order.drain(..max.min(self.order.len())).collect();
        for key in &taken {
            self.known.remove(key);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{OwnerId, TaskId};
    use uuid::Uuid;

    fn key(number: u128) -> TaskKey {
        TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(number)) }
    }

    #[test]
    fn a_topic_that_was_served_queues_behind_all_others() {
        let mut behind = CatchUpQueue::default();
        (0..6).for_each(|number| behind.add(key(number)));
        behind.add(key(5));
        let first = behind.take(4);
        assert_eq!(first, [key(0), key(1), key(2), key(3)]);
        // All of them have grown again meanwhile.
        for key in first {
            behind.add(key);
        }
        assert_eq!(behind.take(4), [key(4), key(5), key(0), key(1)]);
        assert_eq!(behind.take(4), [key(2), key(3)]);
        assert_eq!(behind.take(4), []);
    }
}
