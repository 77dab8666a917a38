//! Invariants that must hold in every state.

use super::{violation::InvariantViolation, worker::LeaseState, world::ModelWorld};

/// Returns the first violated invariant of a state.
pub fn violated(world: &ModelWorld) -> Option<InvariantViolation> {
    let (record, history) = (&world.record, &world.history);
    let (terminal, parked) = (record.state.is_terminal(), record.state.is_parked());
    let holders = world.workers.iter().filter(|worker| {
        worker.running.is_some_and(|running| Some(running.fence) == record.current_fence())
    });
    let reaped = record
        .run
        .and_then(|run| run.holder)
        .is_some_and(|(worker, _)| world.workers[usize::from(worker)].lease == LeaseState::Gone);
    let still_asked = || Some(history.asked) == record.current_fence().map(Some);
    let checks = [
        (history.violation.is_some(), history.violation.unwrap_or(InvariantViolation::Stuck)),
        (record.ends != u8::from(terminal), InvariantViolation::NotOneFinalStatus),
        ((terminal || parked) && record.run.is_some(), InvariantViolation::QueuedWithoutWork),
        (!terminal && !parked && record.run.is_none() || reaped, InvariantViolation::Stuck),
        (holders.count() > 1, InvariantViolation::TwoHolders),
        (history.asked.is_some() && !terminal && !still_asked(), InvariantViolation::CancelIgnored),
        (parked && record.message_seq > history.parked_read, InvariantViolation::ParkedUnread),
        (history.ends_handed_back > 1, InvariantViolation::HandedBackTwice),
        (
            !terminal && history.lost_in_a_row >= world.budget.max_losses,
            InvariantViolation::NotQuarantined,
        ),
    ];
    checks.into_iter().find(|(holds, _)| *holds).map(|(_, violation)| violation)
}
