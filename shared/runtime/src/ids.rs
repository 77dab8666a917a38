//! Ids and randomness as a parameter.
//!
//! `UUIDv7`s of one [`SystemIds`] process strictly ascend, also within a millisecond and when the machine's clock steps back,
//! so rows made later sort later. Across processes only uniqueness is promised. Nothing is persisted: after a crash the
//! next process simply draws new ids.

use std::sync::{Mutex, PoisonError};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// Makes ids and random numbers.
pub trait IdSource: Send + Sync {
    /// A new time-ordered id, greater than every earlier one of this source.
    fn uuid_v7(&self) -> Uuid;
    /// 128 random bits.
    fn random_u128(&self) -> u128;
    /// A random (version 4) id that nobody can guess: claim tokens, incarnations.
    fn token(&self) -> Uuid;
}

/// Ids from the machine's clock and its random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that makes time-ordered ids"
    )]
    fn uuid_v7(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_u128(&self) -> u128 {
        rand::random()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes random ids")]
    fn token(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// The same ids in the same order for the same seed; for tests.
#[derive(Debug)]
pub struct SeededIds(Mutex<Seeded>);

#[derive(Debug)]
struct Seeded {
    random: StdRng,
    made: u64,
}

impl SeededIds {
    /// A source whose answers depend on `seed` and the order of calls only.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Seeded { random: StdRng::seed_from_u64(seed), made: 0 }))
    }
}

impl IdSource for SeededIds {
    fn uuid_v7(&self) -> Uuid {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.made += 1;
        let random: [u8; 10] = state.random.random();
        uuid::Builder::from_unix_timestamp_millis(SEEDED_EPOCH_MS + state.made, &random).into_uuid()
    }

    fn random_u128(&self) -> u128 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random.random()
    }

    fn token(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random_u128().to_be_bytes()).into_uuid()
    }
}

/// The time in the first seeded id, milliseconds since the Unix epoch: each further id is one later.
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
