use super::{
    broken::Broken,
    explore::{Found, explore},
    world::{Left, Limit, World},
    wrong::Wrong,
};

/// Explores a configuration to its end; nothing must be wrong anywhere.
fn assert_sound(world: World) {
    let explored = explore(world, None);
    if let Some(found) = explored.found {
        panic!("{found}");
    }
    println!("{} states, {} steps", explored.states, explored.steps);
    assert!(explored.states > 5_000, "the configuration is too small to show anything");
}

#[test]
fn messages_against_ends_parks_and_a_cancel() {
    let left = Left { messages: 2, cancels: 1, answers: 1, appends: 1, ..Left::NOTHING };
    assert_sound(World::new(left));
}

#[test]
fn losses_against_everything_that_an_executor_sends() {
    let left = Left { losses: 2, answers: 1, messages: 1, attempts: 2, ..Left::NOTHING };
    assert_sound(World::new(left));
}

#[test]
fn a_cancel_against_losses_and_retries() {
    let left = Left { cancels: 1, losses: 2, answers: 1, appends: 1, attempts: 2, ..Left::NOTHING };
    assert_sound(World::new(left));
}

#[test]
fn drain_against_losses_and_claims_whose_answer_is_lost() {
    let left = Left {
        losses: 1,
        answers: 1,
        releases: 1,
        retires: 1,
        appends: 1,
        late_claims: true,
        ..Left::NOTHING
    };
    assert_sound(World::new(left));
}

#[test]
fn limits_of_time_against_a_worker_and_its_loss() {
    let left = Left { losses: 1, messages: 1, cancels: 1, attempts: 2, ..Left::NOTHING };
    let limits = World { deadline: Limit::Ahead, queue: Limit::Ahead, ..World::new(left) };
    assert_sound(limits);
}

#[test]
fn losses_in_a_row_against_progress() {
    let left = Left { losses: 3, max_losses: 2, checkpoints: 1, answers: 1, ..Left::NOTHING };
    assert_sound(World::new(left));
}

/// Enough of everything for every broken rule to show.
fn everything() -> World {
    World::new(Left {
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

fn finds(broken: Broken, from: World) -> Found {
    let found = explore(from, Some(broken)).found;
    let found = found.unwrap_or_else(|| panic!("nobody notices that {broken:?} is broken"));
    println!("{broken:?}: {found}");
    assert!(!found.trace.is_empty());
    found
}

#[test]
fn every_broken_rule_is_noticed() {
    let cases = [
        (Broken::Fence, Wrong::StaleWrite),
        (Broken::FreshFence, Wrong::TwoHolders),
        (Broken::OperationNumber, Wrong::DoneTwice),
        (Broken::SettleToken, Wrong::Forgotten),
        (Broken::SettleOfThisRun, Wrong::SaidDone),
        (Broken::CancelAtRetry, Wrong::CancelIgnored),
        (Broken::CancelAtPark, Wrong::CancelIgnored),
        (Broken::CancelAtRelease, Wrong::CancelIgnored),
        (Broken::CancelAtLoss, Wrong::CancelIgnored),
        (Broken::UnreadAtPark, Wrong::ParkedUnread),
        (Broken::HandedBackOnce, Wrong::HandedBackTwice),
        (Broken::WakeOffers, Wrong::Stuck),
        (Broken::LossOffers, Wrong::Stuck),
        (Broken::ForceTakesOff, Wrong::NothingToRun),
        (Broken::EndIsFinal, Wrong::WrittenAfterTheEnd),
        (Broken::OneHolder, Wrong::Stolen),
    ];
    for (broken, wrong) in cases {
        assert_eq!(finds(broken, everything()).wrong, wrong, "{broken:?}");
    }
}

#[test]
fn losses_that_are_not_counted_are_noticed() {
    let left = Left { losses: 2, max_losses: 2, ..Left::NOTHING };
    assert_eq!(finds(Broken::LossesCount, World::new(left)).wrong, Wrong::NotQuarantined);
}

/// A worker that takes a run of which its own claim is about to tell it for one that it does not know of gives back what it
/// is about to run; then its executor is told that its end was written, and it was not.
#[test]
fn a_run_is_not_given_back_while_a_claim_is_under_way() {
    let left = Left { late_claims: true, ..Left::NOTHING };
    assert_eq!(finds(Broken::KnowsBeforeGivingBack, World::new(left)).wrong, Wrong::SaidDone);
    assert!(explore(World::new(left), None).found.is_none());
}

/// Epoch and token each fence off a stale worker without the other's help.
#[test]
fn either_half_of_a_fence_is_enough() {
    let left = Left { losses: 2, answers: 1, appends: 1, attempts: 2, ..Left::NOTHING };
    for half in [Broken::Epoch, Broken::Token] {
        assert!(explore(World::new(left), Some(half)).found.is_none(), "{half:?}");
    }
}

#[test]
fn what_is_found_is_found_on_a_shortest_way() {
    let found = finds(Broken::UnreadAtPark, everything());
    assert_eq!(found.trace.len(), 4, "claim, message, send, deliver: {found}");
}
