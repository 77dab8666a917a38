use super::{
    disabled::DisabledRule,
    explore::{Counterexample, explore},
    violation::InvariantViolation,
    world::{ActionBudget, ModelWorld, TimerState},
};

/// Explores a configuration completely; no state may violate an invariant.
fn assert_sound(world: ModelWorld) {
    let explored = explore(world, None);
    if let Some(counterexample) = explored.counterexample {
        panic!("{counterexample}");
    }
    println!("{} states, {} steps", explored.states, explored.steps);
    assert!(explored.states > 5_000, "the configuration is too small to show anything");
}

#[test]
fn messages_against_ends_parks_and_a_cancel() {
    let budget =
        ActionBudget { messages: 2, cancels: 1, answers: 1, appends: 1, ..ActionBudget::NOTHING };
    assert_sound(ModelWorld::new(budget));
}

#[test]
fn losses_against_everything_that_an_executor_sends() {
    let budget =
        ActionBudget { losses: 2, answers: 1, messages: 1, attempts: 2, ..ActionBudget::NOTHING };
    assert_sound(ModelWorld::new(budget));
}

#[test]
fn a_cancel_against_losses_and_retries() {
    let budget = ActionBudget {
        cancels: 1,
        losses: 2,
        answers: 1,
        appends: 1,
        attempts: 2,
        ..ActionBudget::NOTHING
    };
    assert_sound(ModelWorld::new(budget));
}

#[test]
fn drain_against_losses_and_claims_whose_answer_is_lost() {
    let budget = ActionBudget {
        losses: 1,
        answers: 1,
        releases: 1,
        retires: 1,
        appends: 1,
        late_claims: true,
        ..ActionBudget::NOTHING
    };
    assert_sound(ModelWorld::new(budget));
}

#[test]
fn time_limits_against_a_worker_and_its_loss() {
    let budget =
        ActionBudget { losses: 1, messages: 1, cancels: 1, attempts: 2, ..ActionBudget::NOTHING };
    let limits = ModelWorld {
        deadline: TimerState::Ahead,
        queue: TimerState::Ahead,
        ..ModelWorld::new(budget)
    };
    assert_sound(limits);
}

#[test]
fn losses_in_a_row_against_progress() {
    let budget = ActionBudget {
        losses: 3,
        max_losses: 2,
        checkpoints: 1,
        answers: 1,
        ..ActionBudget::NOTHING
    };
    assert_sound(ModelWorld::new(budget));
}

/// Returns a configuration in which every disabled rule shows.
fn everything() -> ModelWorld {
    ModelWorld::new(ActionBudget {
        messages: 2,
        cancels: 1,
        losses: 2,
        answers: 1,
        appends: 1,
        checkpoints: 0,
        releases: 1,
        retires: 0,
        late_claims: false,
        attempts: 2,
        max_losses: 9,
    })
}

fn finds(disabled: DisabledRule, from: ModelWorld) -> Counterexample {
    let counterexample = explore(from, Some(disabled)).counterexample;
    let counterexample =
        counterexample.unwrap_or_else(|| panic!("no violation found with {disabled:?} disabled"));
    println!("{disabled:?}: {counterexample}");
    assert!(!counterexample.trace.is_empty());
    counterexample
}

#[test]
fn every_disabled_rule_is_noticed() {
    let cases = [
        (DisabledRule::Fence, InvariantViolation::StaleWrite),
        (DisabledRule::FreshFence, InvariantViolation::TwoHolders),
        (DisabledRule::OperationNumber, InvariantViolation::WrittenTwice),
        (DisabledRule::SettleToken, InvariantViolation::SettleNotRecognised),
        (DisabledRule::SettleNumberPerRun, InvariantViolation::FalselyReportedDone),
        (DisabledRule::CancelAtRetry, InvariantViolation::CancelIgnored),
        (DisabledRule::CancelAtPark, InvariantViolation::CancelIgnored),
        (DisabledRule::CancelAtRelease, InvariantViolation::CancelIgnored),
        (DisabledRule::CancelAtLoss, InvariantViolation::CancelIgnored),
        (DisabledRule::UnreadAtPark, InvariantViolation::ParkedUnread),
        (DisabledRule::HandedBackOnce, InvariantViolation::HandedBackTwice),
        (DisabledRule::WakeOffers, InvariantViolation::Stuck),
        (DisabledRule::LossOffers, InvariantViolation::Stuck),
        (DisabledRule::ForcedCancelDequeues, InvariantViolation::QueuedWithoutWork),
        (DisabledRule::EndIsFinal, InvariantViolation::WrittenAfterTheEnd),
        (DisabledRule::OneHolder, InvariantViolation::ClaimedWhileHeld),
    ];
    for (disabled, violation) in cases {
        assert_eq!(finds(disabled, everything()).violation, violation, "{disabled:?}");
    }
}

#[test]
fn losses_that_are_not_counted_are_noticed() {
    let budget = ActionBudget { losses: 2, max_losses: 2, ..ActionBudget::NOTHING };
    assert_eq!(
        finds(DisabledRule::LossesCount, ModelWorld::new(budget)).violation,
        InvariantViolation::NotQuarantined
    );
}

/// A worker releases a run that it does not know, while the answer to its own claim of that run is
/// in flight. It then runs the released run, and its executor is told that an end was written that
/// was not.
#[test]
fn a_run_is_not_given_back_while_a_claim_is_under_way() {
    let budget = ActionBudget { late_claims: true, ..ActionBudget::NOTHING };
    assert_eq!(
        finds(DisabledRule::WaitsForOwnClaim, ModelWorld::new(budget)).violation,
        InvariantViolation::FalselyReportedDone
    );
    assert!(explore(ModelWorld::new(budget), None).counterexample.is_none());
}

/// Epoch and token each fence off a stale worker without the other's help.
#[test]
fn either_half_of_a_fence_is_enough() {
    let budget =
        ActionBudget { losses: 2, answers: 1, appends: 1, attempts: 2, ..ActionBudget::NOTHING };
    for half in [DisabledRule::Epoch, DisabledRule::Token] {
        assert!(explore(ModelWorld::new(budget), Some(half)).counterexample.is_none(), "{half:?}");
    }
}

#[test]
fn a_counterexample_is_as_short_as_possible() {
    let counterexample = finds(DisabledRule::UnreadAtPark, everything());
    assert_eq!(counterexample.trace.len(), 4, "claim, message, send, deliver: {counterexample}");
}
