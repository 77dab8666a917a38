//! Poison rules: the fate of a task whose worker was lost, the same for all stores.
//!
//! A task that kills its workers also takes down the tasks beside it, which then have as many
//! losses as the culprit. So a task with too many losses is only a suspect. It is convicted when a
//! worker is lost that ran no other suspect. Several suspects of one worker restart one after the
//! other, with growing gaps and in rotating order, until the culprit dies alone.

use std::time::Duration;

/// Gap between the restarts of suspects in the first round; doubled in each further round.
const FIRST_RESTART_GAP: Duration = Duration::from_secs(5);

/// Maximum gap between the restarts of two suspects.
const MAX_RESTART_GAP: Duration = Duration::from_secs(600);

/// Maximum delay of any suspect.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(3_600);

/// Factor on `max_losses` above which a suspect is convicted even with others beside it, so that no
/// task takes down workers for ever.
const CONVICTION_FACTOR: u32 = 3;

/// Decision about a run whose worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoisonDecision {
    /// Offer the run again after this delay.
    OfferAfter(Duration),
    /// Fail the task as the cause of the losses.
    Poison,
}

/// Returns whether a run with this many losses in a row, the current one included, is a suspect.
pub fn is_suspect(losses: i32, max_losses: u32) -> bool {
    u32::try_from(losses).is_ok_and(|losses| losses >= max_losses.max(1))
}

/// Decides about a run with this many losses in a row, the current one included. `suspects` counts
/// the suspects that the lost worker ran, and `place` is the rank of this run among them, from 0.
/// Both are 0 for a run that is no suspect.
pub fn decide_poison(
    losses: i32,
    max_losses: u32,
    place: usize,
    suspects: usize,
) -> PoisonDecision {
    if !is_suspect(losses, max_losses) {
        return PoisonDecision::OfferAfter(Duration::ZERO);
    }
    // Not negative, as a suspect has at least one loss.
    let lost = losses.unsigned_abs();
    let max_losses = max_losses.max(1);
    // Alone on its worker, or too often among others: no further worker is given to it.
    if suspects <= 1 || lost >= max_losses.saturating_mul(CONVICTION_FACTOR) {
        return PoisonDecision::Poison;
    }
    // Rounds that these suspects have been through; a checkpoint in between begins anew.
    let rounds = lost - max_losses;
    // Ten doublings exceed the maximum; more would overflow the shift.
    let apart = FIRST_RESTART_GAP.saturating_mul(1 << rounds.min(10)).min(MAX_RESTART_GAP);
    // The order rotates with each round, so every suspect is first at some time.
    let turn = (place + rounds as usize) % suspects;
    PoisonDecision::OfferAfter(
        apart.saturating_mul(u32::try_from(turn).unwrap_or(u32::MAX)).min(MAX_RESTART_DELAY),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lost_alone_too_often_is_poison() {
        assert_eq!(decide_poison(4, 5, 0, 0), PoisonDecision::OfferAfter(Duration::ZERO));
        assert_eq!(decide_poison(5, 5, 0, 1), PoisonDecision::Poison);
        assert_eq!(decide_poison(1, 1, 0, 1), PoisonDecision::Poison);
    }

    #[test]
    fn suspects_restart_apart_and_in_rotating_order() {
        let seconds = |losses| -> Vec<u64> {
            (0..3)
                .map(|place| match decide_poison(losses, 5, place, 3) {
                    PoisonDecision::OfferAfter(delay) => delay.as_secs(),
                    PoisonDecision::Poison => panic!("no suspect is convicted yet"),
                })
                .collect()
        };
        assert_eq!(seconds(5), [0, 5, 10]);
        assert_eq!(seconds(6), [10, 20, 0]);
        assert_eq!(seconds(7), [40, 0, 20]);
    }

    #[test]
    fn a_suspect_with_too_many_losses_is_convicted() {
        assert_eq!(decide_poison(15, 5, 1, 3), PoisonDecision::Poison);
        assert!(matches!(decide_poison(14, 5, 1, 3), PoisonDecision::OfferAfter(_)));
    }
}
