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
    let left = Left { cancels: 2, losses: 1, answers: 1, attempts: 2, ..Left::NOTHING };
    assert_sound(World::new(left));
}

#[test]
fn drain_against_losses_and_claims_whose_answer_is_lost() {
    let left = Left {
        losses: 1,
        answers: 2,
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
