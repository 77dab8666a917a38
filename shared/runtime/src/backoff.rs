//! Exponential backoff with full jitter.
//!
//! Pure: the same attempt and random number give the same delay. The ceiling grows by `factor` with
//! each attempt up to `max`. With jitter the delay is uniform between zero and the ceiling, so that
//! clients that failed together do not retry together. Never overflows.

use std::time::Duration;

/// An exponential backoff schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The ceiling after the first failure.
    pub initial: Duration,
    /// The growth of the ceiling with each further failure; values below one count as one.
    pub factor: f64,
    /// The maximum of the ceiling.
    pub max: Duration,
    /// Draws the delay between zero and the ceiling instead of waiting for the full ceiling.
    pub jitter: bool,
}

impl Backoff {
    /// Retries of database operations: from 100 ms, doubling to 1 s, with jitter. Short, so that
    /// work resumes within seconds after a failover; refused connections cost a server little.
    pub const DATABASE: Self = Self {
        initial: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(1),
        jitter: true,
    };

    /// Reconnects to the broker: from 100 ms, doubling to 5 s, with jitter.
    pub const RECONNECT: Self = Self {
        initial: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(5),
        jitter: true,
    };

    /// The maximum delay after failure number `attempt` (0 is the first).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        if self.initial.is_zero() {
            return Duration::ZERO;
        }
        // A factor below one would shrink the ceiling; NaN and infinity would break the arithmetic.
        let factor = if self.factor.is_finite() { self.factor.max(1.0) } else { 1.0 };
        // Attempts beyond i32 reach the maximum anyway.
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * factor.powi(exponent);
        // Overflow and infinity are errors here and become the maximum.
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }

    /// The delay after failure number `attempt` (0 is the first). `random` returns numbers in
    /// `0.0..1.0`, others are clamped; it is called only if the schedule has jitter.
    pub fn delay(&self, attempt: u32, random: &mut impl FnMut() -> f64) -> Duration {
        let ceiling = self.ceiling(attempt);
        if !self.jitter {
            return ceiling;
        }
        let share = random();
        // Treat a broken source as the longest delay rather than as no delay.
        let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
        Duration::try_from_secs_f64(ceiling.as_secs_f64() * share).unwrap_or(ceiling).min(ceiling)
    }

    /// The [`delay`](Backoff::delay) with the process's random source.
    pub fn random_delay(&self, attempt: u32) -> Duration {
        self.delay(attempt, &mut rand::random::<f64>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_backoff() -> impl Strategy<Value = Backoff> {
        let factor = prop_oneof![0.0..10.0_f64, Just(f64::INFINITY), Just(f64::NAN), any::<f64>()];
        (any::<Duration>(), factor, any::<Duration>(), any::<bool>())
            .prop_map(|(initial, factor, max, jitter)| Backoff { initial, factor, max, jitter })
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bounds(backoff in any_backoff(), attempt: u32, random: f64) {
            let delay = backoff.delay(attempt, &mut || random);
            prop_assert!(delay <= backoff.max);
            prop_assert!(delay <= backoff.ceiling(attempt));
        }

        #[test]
        fn the_ceiling_never_shrinks(backoff in any_backoff(), attempt in 0..u32::MAX) {
            prop_assert!(backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1));
        }

        #[test]
        fn without_jitter_the_delay_is_the_ceiling(backoff in any_backoff(), attempt: u32) {
            let steady = Backoff { jitter: false, ..backoff };
            prop_assert_eq!(steady.delay(attempt, &mut || unreachable!("not asked")), steady.ceiling(attempt));
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let ceilings: Vec<u128> =
            (0..8).map(|attempt| Backoff::RECONNECT.ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let at = |share: f64| Backoff::RECONNECT.delay(3, &mut || share).as_millis();
        assert_eq!((at(0.0), at(0.5), at(1.0)), (0, 400, 800));
    }
}
