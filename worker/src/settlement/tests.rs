//! Every stop reason against every exit of an executor.

use super::*;
use crate::testing::attempt_context;
use longhaul_domain::{ContextId, Part, Role, Timestamp, extension};
use longhaul_executor::RunPolicy;

fn message() -> Message {
    Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![Part::text("hi")])
}

/// Every exit of an executor, by name.
fn exits() -> Vec<(&'static str, ExecutorExit)> {
    let returned = |outcome| ExecutorExit::Returned(Ok(outcome));
    vec![
        ("completed", returned(Outcome::Completed(None))),
        ("rejected", returned(Outcome::Rejected(None))),
        ("direct", returned(Outcome::Direct(message()))),
        ("input", returned(Outcome::InputRequired(message()))),
        ("auth", returned(Outcome::AuthRequired(message()))),
        ("canceled", returned(Outcome::Canceled(None))),
        ("retryable", returned(Outcome::Failed(ExecutorFailure::retryable("no luck")))),
        ("fatal", returned(Outcome::Failed(ExecutorFailure::fatal("no way")))),
        ("stopped", ExecutorExit::Returned(Err(OutputStopped::Canceled))),
        ("panicked", ExecutorExit::Panicked("boom".to_owned())),
        ("abandoned", ExecutorExit::Abandoned),
    ]
}

/// The decision in a word.
fn decision(settlement: Option<Settlement>) -> String {
    let Some(Settlement { how, last }) = settlement else { return "nothing".to_owned() };
    match how {
        SettleAs::End(TerminalState::Failed) => {
            let Some(EntryBody::Status(change)) = last.last() else { panic!("no status") };
            change.failed.as_ref().unwrap().because.to_string()
        }
        SettleAs::End(state) => state.state().to_string(),
        SettleAs::Park(state) => state.state().to_string(),
        SettleAs::Retry(_) => "retry".to_owned(),
        SettleAs::Release => "release".to_owned(),
    }
}

#[test]
fn an_interrupted_run_or_an_unavailable_executor_uses_no_attempt() {
    let id = ContextId::new("c").unwrap();
    for stopped in [OutputStopped::Interrupted, OutputStopped::Unavailable] {
        let exit = || ExecutorExit::Returned(Err(stopped));
        for (told, attempt, decided) in [
            (None, 1, "release"),
            (None, 3, "release"),
            (Some(StopReason::Draining), 3, "release"),
            (Some(StopReason::Canceled), 1, "canceled"),
            (Some(StopReason::Deadline), 1, "deadline"),
            (Some(StopReason::LeaseLost), 1, "nothing"),
        ] {
            let context = AttemptContext { stop_reason: told, attempt, ..attempt_context(&id) };
            assert_eq!(decision(decide(exit(), &context)), decided, "{stopped:?} {told:?}");
        }
    }
}

fn check(stopped: Option<StopReason>, attempt: i32, expected: &[(&str, &str); 11]) {
    let id = ContextId::new("c").unwrap();
    for ((name, exit), (expected_name, decided)) in exits().into_iter().zip(*expected) {
        assert_eq!(name, expected_name, "the table has a different order");
        let context =
            AttemptContext { stop_reason: stopped, attempt, direct: true, ..attempt_context(&id) };
        assert_eq!(decision(decide(exit, &context)), decided, "{stopped:?} and {name}");
    }
}

#[test]
fn an_attempt_that_is_not_stopped() {
    let mut expected = [
        ("completed", "completed"),
        ("rejected", "rejected"),
        ("direct", "completed"),
        ("input", "input-required"),
        ("auth", "auth-required"),
        ("canceled", "canceled"),
        ("retryable", "retry"),
        ("fatal", "fatal"),
        ("stopped", "retry"),
        ("panicked", "retry"),
        ("abandoned", "retry"),
    ];
    check(None, 1, &expected);
    for (_, decided) in &mut expected {
        if *decided == "retry" {
            *decided = "attempts-used-up";
        }
    }
    check(None, 3, &expected);
}

#[test]
fn a_canceled_run_ends_canceled_unless_its_executor_ended_it() {
    let expected = [
        ("completed", "completed"),
        ("rejected", "rejected"),
        ("direct", "completed"),
        ("input", "canceled"),
        ("auth", "canceled"),
        ("canceled", "canceled"),
        ("retryable", "canceled"),
        ("fatal", "canceled"),
        ("stopped", "canceled"),
        ("panicked", "canceled"),
        ("abandoned", "canceled"),
    ];
    check(Some(StopReason::Canceled), 1, &expected);
    check(Some(StopReason::Canceled), 3, &expected);
}

#[test]
fn an_attempt_that_times_out_is_retried_until_the_attempts_are_used_up() {
    let expected = |timeout| {
        [
            ("completed", "completed"),
            ("rejected", "rejected"),
            ("direct", "completed"),
            ("input", "input-required"),
            ("auth", "auth-required"),
            ("canceled", timeout),
            ("retryable", timeout),
            ("fatal", timeout),
            ("stopped", timeout),
            ("panicked", timeout),
            ("abandoned", timeout),
        ]
    };
    check(Some(StopReason::AttemptTimeout), 1, &expected("retry"));
    check(Some(StopReason::AttemptTimeout), 3, &expected("attempt-timeout"));
    check(Some(StopReason::NoProgress), 2, &expected("retry"));
    check(Some(StopReason::NoProgress), 3, &expected("no-progress"));
}

#[test]
fn a_run_past_its_deadline_fails_unless_its_executor_ended_it() {
    let expected = [
        ("completed", "completed"),
        ("rejected", "rejected"),
        ("direct", "completed"),
        ("input", "deadline"),
        ("auth", "deadline"),
        ("canceled", "deadline"),
        ("retryable", "deadline"),
        ("fatal", "deadline"),
        ("stopped", "deadline"),
        ("panicked", "deadline"),
        ("abandoned", "deadline"),
    ];
    check(Some(StopReason::Deadline), 1, &expected);
}

#[test]
fn a_drained_run_is_released_without_an_attempt_unless_its_executor_ended_it() {
    let expected = [
        ("completed", "completed"),
        ("rejected", "rejected"),
        ("direct", "completed"),
        ("input", "input-required"),
        ("auth", "auth-required"),
        ("canceled", "release"),
        ("retryable", "release"),
        ("fatal", "fatal"),
        ("stopped", "release"),
        ("panicked", "release"),
        ("abandoned", "release"),
    ];
    check(Some(StopReason::Draining), 1, &expected);
    check(Some(StopReason::Draining), 3, &expected);
}

#[test]
fn a_worker_that_lost_its_lease_settles_nothing() {
    check(Some(StopReason::LeaseLost), 1, &all_exits("nothing"));
}

fn all_exits(decided: &'static str) -> [(&'static str, &'static str); 11] {
    let names: Vec<_> = exits().into_iter().map(|(name, _)| (name, decided)).collect();
    names.try_into().unwrap()
}

fn final_message(exit: ExecutorExit, context: &AttemptContext<'_>) -> Message {
    let settlement = decide(exit, context).unwrap();
    let Some(EntryBody::Status(change)) = settlement.last.into_iter().next_back() else { panic!() };
    change.message.unwrap()
}

#[test]
fn a_final_failure_names_its_kind_and_the_number_of_attempts() {
    let id = ContextId::new("c").unwrap();
    let last = AttemptContext { attempt: 3, ..attempt_context(&id) };
    let message = final_message(ExecutorExit::Panicked("boom\0".to_owned()), &last);
    assert_eq!(message.text(), "the executor panicked: boom\u{fffd}");
    let extension_data = message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
    assert!(extension_data.as_str().contains("\"attempts\":3"), "{extension_data:?}");
    assert!(
        extension_data.as_str().contains("\"because\":\"attempts-used-up\""),
        "{extension_data:?}"
    );
}

#[test]
fn a_long_cause_is_cut_between_two_characters() {
    let id = ContextId::new("c").unwrap();
    for attempt in [1, 3] {
        let context = AttemptContext { attempt, ..attempt_context(&id) };
        let failure = ExecutorFailure::retryable(format!("x{}", "ü".repeat(1 << 20)));
        let exit = ExecutorExit::Returned(Ok(Outcome::Failed(failure)));
        let last = decide(exit, &context).unwrap().last.pop().unwrap();
        let written = last.encode();
        assert!(written.contains("üü…") && written.len() < 64 << 10, "{}", written.len());
    }
}

#[test]
fn every_timeout_names_itself_and_its_length() {
    let id = ContextId::new("c").unwrap();
    let policy = RunPolicy {
        timeout: Duration::from_millis(1_500),
        no_progress: Some(Duration::from_secs(20)),
        max_attempts: 1,
        ..RunPolicy::default()
    };
    let accepted = Timestamp::UNIX_EPOCH;
    let deadline = Some(accepted + Duration::from_secs(90));
    for (reason, expected) in [
        (
            StopReason::AttemptTimeout,
            "timed out: the attempt took longer than 1.5 s (start-to-close)",
        ),
        (
            StopReason::NoProgress,
            "timed out: the attempt showed no sign of progress for 20 s (no-progress)",
        ),
        (
            StopReason::Deadline,
            "timed out: the deadline of the task has passed: 1970-01-01T00:01:30.000Z, 90 s after it was accepted",
        ),
    ] {
        let context =
            AttemptContext { stop_reason: Some(reason), policy, deadline, ..attempt_context(&id) };
        assert_eq!(final_message(ExecutorExit::Abandoned, &context).text(), expected);
    }
}

#[test]
fn the_retry_delay_is_the_executors_or_else_the_policys() {
    let id = ContextId::new("c").unwrap();
    let delay = |failure: ExecutorFailure, attempt, random| {
        let context = AttemptContext { attempt, random, ..attempt_context(&id) };
        let exit = ExecutorExit::Returned(Ok(Outcome::Failed(failure)));
        match decide(exit, &context).unwrap().how {
            SettleAs::Retry(delay) => delay,
            other => panic!("no retry but {other:?}"),
        }
    };
    let failure = || ExecutorFailure::retryable("no luck");
    assert_eq!(delay(failure(), 1, 0.0), Duration::from_millis(500));
    assert_eq!(delay(failure(), 1, 1.0), Duration::from_secs(1));
    assert_eq!(delay(failure(), 2, 1.0), Duration::from_secs(2));
    assert_eq!(delay(failure().retry_after(Duration::ZERO), 1, 0.5), Duration::ZERO);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(delay(failure().retry_after(day), 1, 0.5), day);
    assert_eq!(delay(failure().retry_after(Duration::MAX), 1, 0.5), 7 * day);
}

#[test]
fn the_executors_message_is_the_message_of_the_failure() {
    let id = ContextId::new("c").unwrap();
    let failure = ExecutorFailure::fatal("secret detail").with_message(message());
    let exit = ExecutorExit::Returned(Ok(Outcome::Failed(failure)));
    assert_eq!(final_message(exit, &attempt_context(&id)).text(), "hi");
}

#[test]
fn a_cause_for_operators_is_recorded_but_hidden_from_the_client() {
    let id = ContextId::new("c").unwrap();
    for said in [None, Some(message())] {
        let failure = ExecutorFailure {
            message: said,
            ..ExecutorFailure::fatal("/srv/x.py, line 3").for_operators()
        };
        let exit = ExecutorExit::Returned(Ok(Outcome::Failed(failure)));
        let last = decide(exit, &attempt_context(&id)).unwrap().last.pop();
        let Some(EntryBody::Status(change)) = last else { panic!("no status") };
        assert_eq!(change.failed.unwrap().cause, "/srv/x.py, line 3");
        let message = change.message.unwrap();
        assert!(!message.text().contains("x.py"), "{}", message.text());
        let extension_data =
            message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
        assert!(!extension_data.as_str().contains("x.py"), "{extension_data:?}");
        assert!(extension_data.as_str().contains("\"because\":\"fatal\""), "{extension_data:?}");
    }
}

#[test]
fn only_a_direct_agent_may_answer_with_a_message() {
    let id = ContextId::new("c").unwrap();
    let said = || ExecutorExit::Returned(Ok(Outcome::Direct(message())));
    assert_eq!(decision(decide(said(), &attempt_context(&id))), FailureKind::Fatal.name());
    let canceled =
        AttemptContext { stop_reason: Some(StopReason::Canceled), ..attempt_context(&id) };
    assert_eq!(decision(decide(said(), &canceled)), "canceled");
}

#[test]
fn refused_output_is_a_fatal_failure() {
    let id = ContextId::new("c").unwrap();
    for stopped in [None, Some(StopReason::Canceled), Some(StopReason::Draining)] {
        let context = AttemptContext {
            refusal: Some("too large".to_owned()),
            stop_reason: stopped,
            ..attempt_context(&id)
        };
        let completed = ExecutorExit::Returned(Ok(Outcome::Completed(None)));
        assert_eq!(decision(decide(completed, &context)), "fatal");
    }
}

#[test]
fn a_failed_attempt_is_logged_with_its_cause() {
    let id = ContextId::new("c").unwrap();
    let reason = |exit, attempt| {
        let context = AttemptContext { attempt, ..attempt_context(&id) };
        decide(exit, &context).unwrap().failure_reason()
    };
    let failed = |cause: &str| {
        ExecutorExit::Returned(Ok(Outcome::Failed(
            ExecutorFailure::retryable(cause).with_message(message()),
        )))
    };
    let cause = "no luck".to_owned();
    let retried = FailureReason { because: None, cause: cause.clone() };
    assert_eq!(reason(failed("no luck"), 1), Some(retried));
    let last = FailureReason { because: Some(FailureKind::AttemptsUsedUp), cause };
    assert_eq!(reason(failed("no luck"), 3), Some(last));
    let long = reason(failed(&"ä".repeat(1 << 16)), 1).unwrap();
    assert_eq!(long.cause.chars().count(), MAX_LOGGED_CAUSE_CHARS);
    assert_eq!(reason(ExecutorExit::Returned(Ok(Outcome::Completed(None))), 1), None);
}
