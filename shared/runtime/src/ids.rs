//! Ids and random numbers as a parameter, so that tests control them.
//!
//! The `UUIDv7`s of one [`SystemIds`] process strictly ascend, even within a millisecond and when
//! the system clock steps back. Across processes they are unique, but not ordered. Nothing is
//! persisted.

use std::sync::{Mutex, PoisonError};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// A source of ids and random numbers.
pub trait IdSource: Send + Sync {
    /// Generates a time-ordered id, greater than all earlier ones of this source.
    fn uuid_v7(&self) -> Uuid;
    /// Generates 128 random bits.
    fn random_u128(&self) -> u128;
    /// Generates an unguessable id (version 4), for claim tokens and incarnations.
    fn token(&self) -> Uuid;
}

/// Ids from the system clock and the operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the only place that generates time-ordered ids")]
    fn uuid_v7(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_u128(&self) -> u128 {
        rand::random()
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that generates random ids")]
    fn token(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// Reproducible ids for tests: the same seed yields the same sequence.
#[derive(Debug)]
pub struct SeededIds(Mutex<Seeded>);

#[derive(Debug)]
struct Seeded {
    random: StdRng,
    count: u64,
}

impl SeededIds {
    /// Creates a source that depends on `seed` and the order of calls only.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Seeded { random: StdRng::seed_from_u64(seed), count: 0 }))
    }
}

impl IdSource for SeededIds {
    fn uuid_v7(&self) -> Uuid {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        let random: [u8; 10] = state.random.random();
        // One millisecond per id keeps them ascending without a counter in the id.
        uuid::Builder::from_unix_timestamp_millis(SEEDED_EPOCH_MS + state.count, &random)
            .into_uuid()
    }

    fn random_u128(&self) -> u128 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random.random()
    }

    fn token(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random_u128().to_be_bytes()).into_uuid()
    }
}

/// The time before the first seeded id, in milliseconds since the Unix epoch. Each id is one
/// millisecond later.
const SEEDED_EPOCH_MS: u64 = 1_700_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn strictly_ascending(ids: &dyn IdSource) -> bool {
        let made: Vec<Uuid> = (0..2_000).map(|_| ids.uuid_v7()).collect();
        made.windows(2).all(|pair| pair[0] < pair[1])
    }

    #[test]
    fn time_ordered_ids_of_one_process_ascend() {
        assert!(strictly_ascending(&SystemIds));
        assert!(strictly_ascending(&SeededIds::new(1)));
    }

    #[test]
    fn ids_carry_their_version() {
        for ids in [&SystemIds as &dyn IdSource, &SeededIds::new(1)] {
            assert_eq!(ids.uuid_v7().get_version_num(), 7);
            assert_eq!(ids.token().get_version_num(), 4);
            assert_ne!(ids.random_u128(), ids.random_u128());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let draw = |seed| {
            let ids = SeededIds::new(seed);
            (ids.uuid_v7(), ids.token(), ids.random_u128())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
