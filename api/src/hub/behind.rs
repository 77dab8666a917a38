//! Which topics are behind their logs, in the order in which they came to be: each is served in its turn, and none is
//! visited that has no reason.

use longhaul_domain::TaskKey;
use std::collections::{HashSet, VecDeque};

/// Topics to look at.
#[derive(Default)]
pub struct Behind {
    order: VecDeque<TaskKey>,
    known: HashSet<TaskKey>,
}

impl Behind {
    /// Puts a topic last, unless it stands in the queue already.
    pub fn add(&mut self, key: TaskKey) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
    }

    /// Takes the first ones.
    pub fn take(&mut self, most: usize) -> Vec<TaskKey> {
        let taken: Vec<TaskKey> = self.order.drain(..most.min(self.order.len())).collect();
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
    fn who_was_served_stands_behind_all_others() {
        let mut behind = Behind::default();
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
