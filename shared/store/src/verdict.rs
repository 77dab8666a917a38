//! What becomes of a task whose worker was lost, the same for every store.
//!
//! Whatever ran beside a task that kills its workers is lost as often as that one. So a task that has been lost too often is
//! suspected, and convicted when a worker is lost that ran no other suspect. Several suspects of one worker begin again
//! one after the other, further and further apart and each time another one first, until the guilty one dies alone.

use std::time::Duration;

/// How far apart suspects begin when they are suspected for the first time.
const APART: Duration = Duration::from_secs(5);

/// They never begin further apart than this.
const FAR: Duration = Duration::from_secs(600);

/// And none of them waits longer than this.
const LONGEST: Duration = Duration::from_secs(3_600);

/// So many times the losses that make a suspect convict it in any case: nothing takes workers down for ever.
const PATIENCE: u32 = 3;

/// What becomes of a run whose worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoisonDecision {
    /// It is offered again after this long.
    OfferAfter(Duration),
    /// It is taken for the cause: the task fails.
    Poison,
}

/// Whether a run that was lost so many times in a row, this time included, is suspected.
pub fn is_suspect(losses: i32, max_losses: u32) -> bool {
    u32::try_from(losses).is_ok_and(|losses| losses >= max_losses.max(1))
}

/// Decides about a run that was lost so many times in a row, this time included. Its worker ran so many `suspects`, and this
/// is the one at `place` among them, from 0; for a run that is none, both are 0.
pub fn verdict(losses: i32, max_losses: u32, place: usize, suspects: usize) -> PoisonDecision {
    if !is_suspect(losses, max_losses) {
        return PoisonDecision::OfferAfter(Duration::ZERO);
    }
    let lost = losses.unsigned_abs();
    let max_losses = max_losses.max(1);
    if suspects <= 1 || lost >= max_losses.saturating_mul(PATIENCE) {
        return PoisonDecision::Poison;
    }
    let rounds = lost - max_losses;
    let apart = APART.saturating_mul(1 << rounds.min(10)).min(FAR);
    // Every one is first at some time.
    let turn = (place + rounds as usize) % suspects;
    PoisonDecision::OfferAfter(
        apart.saturating_mul(u32::try_from(turn).unwrap_or(u32::MAX)).min(LONGEST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_lost_alone_too_often_is_the_cause() {
        assert_eq!(verdict(4, 5, 0, 0), PoisonDecision::OfferAfter(Duration::ZERO));
        assert_eq!(verdict(5, 5, 0, 1), PoisonDecision::Poison);
        assert_eq!(verdict(1, 1, 0, 1), PoisonDecision::Poison);
    }

    #[test]
    fn suspects_begin_apart_and_take_turns_to_be_first() {
        let seconds = |losses| -> Vec<u64> {
            (0..3)
                .map(|place| match verdict(losses, 5, place, 3) {
                    PoisonDecision::OfferAfter(delay) => delay.as_secs(),
                    PoisonDecision::Poison => panic!("nobody is convicted yet"),
                })
                .collect()
        };
        assert_eq!(seconds(5), [0, 5, 10]);
        assert_eq!(seconds(6), [10, 20, 0]);
        assert_eq!(seconds(7), [40, 0, 20]);
    }

    #[test]
    fn patience_ends() {
        assert_eq!(verdict(15, 5, 1, 3), PoisonDecision::Poison);
        assert!(matches!(verdict(14, 5, 1, 3), PoisonDecision::OfferAfter(_)));
    }
}
