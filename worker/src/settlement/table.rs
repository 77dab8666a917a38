//! Every reason to stop against every ending.

use super::*;
use crate::testing::facts;
use longhaul_domain::{FailureKind, MessageId, Part, Role, extension};
use std::time::Duration;

fn message() -> Message {
    Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![Part::text("hi")])
}

/// Every way in which a call can end, by name.
fn endings() -> Vec<(&'static str, Ended)> {
    let returned = |outcome| Ended::Returned(Ok(outcome));
    vec![
        ("completed", returned(Outcome::Completed(None))),
        ("rejected", returned(Outcome::Rejected(None))),
        ("direct", returned(Outcome::Direct(message()))),
        ("input", returned(Outcome::InputRequired(message()))),
        ("auth", returned(Outcome::AuthRequired(message()))),
        ("canceled", returned(Outcome::Canceled(None))),
        ("retryable", returned(Outcome::Failed(ExecutorFailure::retryable("no luck")))),
        ("fatal", returned(Outcome::Failed(ExecutorFailure::fatal("no way")))),
        ("stopped", Ended::Returned(Err(OutputStopped::Canceled))),
        ("panicked", Ended::Panicked("boom".to_owned())),
        ("abandoned", Ended::Abandoned),
    ]
}

/// What was decided, in a word.
fn word(settlement: Option<Settlement>) -> String {
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
fn a_run_that_was_interrupted_or_could_not_be_done_here_burns_no_attempt() {
    let context = ContextId::new("c").unwrap();
    for stopped in [OutputStopped::Interrupted, OutputStopped::Unavailable] {
        let ended = || Ended::Returned(Err(stopped));
        for (told, attempt, decided) in [
            (None, 1, "release"),
            (None, 3, "release"),
            (Some(Why::Draining), 3, "release"),
            (Some(Why::Canceled), 1, "canceled"),
            (Some(Why::Deadline), 1, "deadline"),
            (Some(Why::LeaseLost), 1, "nothing"),
        ] {
            let facts = Facts { stopped: told, attempt, ..facts(&context) };
            assert_eq!(word(decide(ended(), &facts)), decided, "{stopped:?} {told:?}");
        }
    }
}

fn check(stopped: Option<Why>, attempt: i32, expected: &[(&str, &str); 11]) {
    let context = ContextId::new("c").unwrap();
    for ((name, ended), (expected_name, decided)) in endings().into_iter().zip(*expected) {
        assert_eq!(name, expected_name, "the table has another order");
        let facts = Facts { stopped, attempt, direct: true, ..facts(&context) };
        assert_eq!(word(decide(ended, &facts)), decided, "{stopped:?} and {name}");
    }
}

#[test]
fn an_attempt_that_nobody_interrupts() {
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
fn a_canceled_one_ends_canceled_unless_it_was_over() {
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
    check(Some(Why::Canceled), 1, &expected);
    check(Some(Why::Canceled), 3, &expected);
}

#[test]
fn one_that_took_too_long_is_tried_again_until_the_attempts_are_used_up() {
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
    check(Some(Why::AttemptTimeout), 1, &expected("retry"));
    check(Some(Why::AttemptTimeout), 3, &expected("attempt-timeout"));
    check(Some(Why::NoProgress), 2, &expected("retry"));
    check(Some(Why::NoProgress), 3, &expected("no-progress"));
}

#[test]
fn one_whose_deadline_has_come_fails_unless_it_was_over() {
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
    check(Some(Why::Deadline), 1, &expected);
}

#[test]
fn a_drained_one_is_given_back_and_burns_no_attempt_unless_it_was_over() {
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
    check(Some(Why::Draining), 1, &expected);
    check(Some(Why::Draining), 3, &expected);
}

#[test]
fn a_worker_that_lost_its_lease_writes_nothing() {
    check(Some(Why::LeaseLost), 1, &endings_map("nothing"));
}

fn endings_map(decided: &'static str) -> [(&'static str, &'static str); 11] {
    let names: Vec<_> = endings().into_iter().map(|(name, _)| (name, decided)).collect();
    names.try_into().unwrap()
}

fn final_message(ended: Ended, facts: &Facts<'_>) -> Message {
    let settlement = decide(ended, facts).unwrap();
    let Some(EntryBody::Status(change)) = settlement.last.into_iter().next_back() else { panic!() };
    change.message.unwrap()
}

#[test]
fn a_final_failure_says_why_and_after_how_many_attempts() {
    let context = ContextId::new("c").unwrap();
    let last = Facts { attempt: 3, ..facts(&context) };
    let message = final_message(Ended::Panicked("boom\0".to_owned()), &last);
    assert_eq!(message.text(), "the executor panicked: boom\u{fffd}");
    let known = message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
    assert!(known.as_str().contains("\"attempts\":3"), "{known:?}");
    assert!(known.as_str().contains("\"because\":\"attempts-used-up\""), "{known:?}");
}

#[test]
fn a_cause_without_end_is_cut_between_two_characters() {
    let context = ContextId::new("c").unwrap();
    for attempt in [1, 3] {
        let facts = Facts { attempt, ..facts(&context) };
        let failure = ExecutorFailure::retryable(format!("x{}", "ü".repeat(1 << 20)));
        let ended = Ended::Returned(Ok(Outcome::Failed(failure)));
        let last = decide(ended, &facts).unwrap().last.pop().unwrap();
        let written = last.encode();
        assert!(written.contains("üü…") && written.len() < 64 << 10, "{}", written.len());
    }
}

#[test]
fn every_time_limit_names_itself_and_its_length() {
    let context = ContextId::new("c").unwrap();
    let policy = RunPolicy {
        timeout: Duration::from_millis(1_500),
        no_progress: Some(Duration::from_secs(20)),
        max_attempts: 1,
        ..RunPolicy::default()
    };
    let accepted = Timestamp::UNIX_EPOCH;
    let deadline = Some(accepted + Duration::from_secs(90));
    for (why, expected) in [
        (Why::AttemptTimeout, "timed out: the attempt took longer than 1.5 s (start-to-close)"),
        (
            Why::NoProgress,
            "timed out: the attempt showed no sign of progress for 20 s (no-progress)",
        ),
        (
            Why::Deadline,
            "timed out: the deadline of the task has passed: 1970-01-01T00:01:30.000Z, 90 s after it was accepted",
        ),
    ] {
        let facts = Facts { stopped: Some(why), policy, deadline, ..facts(&context) };
        assert_eq!(final_message(Ended::Abandoned, &facts).text(), expected);
    }
}

#[test]
fn the_wait_between_attempts_is_the_executors_or_else_the_policys() {
    let context = ContextId::new("c").unwrap();
    let wait = |failure: ExecutorFailure, attempt, random| {
        let facts = Facts { attempt, random, ..facts(&context) };
        let ended = Ended::Returned(Ok(Outcome::Failed(failure)));
        match decide(ended, &facts).unwrap().how {
            SettleAs::Retry(delay) => delay,
            other => panic!("no retry but {other:?}"),
        }
    };
    let failure = || ExecutorFailure::retryable("no luck");
    assert_eq!(wait(failure(), 1, 0.0), Duration::from_millis(500));
    assert_eq!(wait(failure(), 1, 1.0), Duration::from_secs(1));
    assert_eq!(wait(failure(), 2, 1.0), Duration::from_secs(2));
    assert_eq!(wait(failure().after(Duration::ZERO), 1, 0.5), Duration::ZERO);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(wait(failure().after(day), 1, 0.5), day);
    assert_eq!(wait(failure().after(Duration::MAX), 1, 0.5), 7 * day);
}

#[test]
fn a_message_of_the_executor_stays_the_message_of_the_failure() {
    let context = ContextId::new("c").unwrap();
    let failure = ExecutorFailure::fatal("secret detail").saying(message());
    let ended = Ended::Returned(Ok(Outcome::Failed(failure)));
    assert_eq!(final_message(ended, &facts(&context)).text(), "hi");
}

#[test]
fn a_cause_for_operators_stays_in_the_record_and_is_not_said_to_the_client() {
    let context = ContextId::new("c").unwrap();
    for said in [None, Some(message())] {
        let failure = ExecutorFailure {
            message: said,
            ..ExecutorFailure::fatal("/srv/x.py, line 3").for_operators()
        };
        let ended = Ended::Returned(Ok(Outcome::Failed(failure)));
        let last = decide(ended, &facts(&context)).unwrap().last.pop();
        let Some(EntryBody::Status(change)) = last else { panic!("no status") };
        assert_eq!(change.failed.unwrap().cause, "/srv/x.py, line 3");
        let message = change.message.unwrap();
        assert!(!message.text().contains("x.py"), "{}", message.text());
        let known = message.metadata.unwrap().get(extension::DURABILITY_EXTENSION).unwrap();
        assert!(!known.as_str().contains("x.py"), "{known:?}");
        assert!(known.as_str().contains("\"because\":\"fatal\""), "{known:?}");
    }
}

#[test]
fn only_a_direct_agent_answers_with_a_message() {
    let context = ContextId::new("c").unwrap();
    let said = || Ended::Returned(Ok(Outcome::Direct(message())));
    assert_eq!(word(decide(said(), &facts(&context))), FailureKind::Fatal.name());
    let canceled = Facts { stopped: Some(Why::Canceled), ..facts(&context) };
    assert_eq!(word(decide(said(), &canceled)), "canceled");
}

#[test]
fn refused_output_fails_the_task_for_good() {
    let context = ContextId::new("c").unwrap();
    for stopped in [None, Some(Why::Canceled), Some(Why::Draining)] {
        let facts = Facts { refused: Some("too large".to_owned()), stopped, ..facts(&context) };
        let completed = Ended::Returned(Ok(Outcome::Completed(None)));
        assert_eq!(word(decide(completed, &facts)), "fatal");
    }
}

#[test]
fn a_failed_attempt_has_a_reason_for_the_log() {
    let context = ContextId::new("c").unwrap();
    let reason = |ended, attempt| {
        let facts = Facts { attempt, ..facts(&context) };
        decide(ended, &facts).unwrap().failure_reason()
    };
    let failed = |cause: &str| {
        Ended::Returned(Ok(Outcome::Failed(ExecutorFailure::retryable(cause).saying(message()))))
    };
    let cause = "no luck".to_owned();
    let retried = FailureReason { because: None, cause: cause.clone() };
    assert_eq!(reason(failed("no luck"), 1), Some(retried));
    let last = FailureReason { because: Some(FailureKind::AttemptsUsedUp), cause };
    assert_eq!(reason(failed("no luck"), 3), Some(last));
    let long = reason(failed(&"ä".repeat(1 << 16)), 1).unwrap();
    assert_eq!(long.cause.chars().count(), MAX_LOGGED_CAUSE_CHARS);
    assert_eq!(reason(Ended::Returned(Ok(Outcome::Completed(None))), 1), None);
}
