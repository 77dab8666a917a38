//! The durability extension: options in a message's metadata for how its task is run.
//!
//! Options of the task as a whole are fixed when it is created. A follow-up may only set options
//! for its own turn, which the worker reads from the message.

use super::Result;
use longhaul_domain::{
    AgentLimits, AgentName, DurabilityOptions, InvalidOption, Message, MessageId, Timestamp,
    extension::DURABILITY_EXTENSION, log::UserMessage,
};
use longhaul_store::{DedupeKey, RunOptions};
use longhaul_wire::{ProtocolError, Violation};
use std::time::Duration;

/// Reason for refusing an option in a follow-up.
const SET_AT_CREATION: &str = "is set when the task is created; leave it out of later messages";

/// Reads the options of a message.
pub fn read(message: &Message) -> Result<DurabilityOptions> {
    DurabilityOptions::from_metadata(message.metadata.as_ref())
        .map_err(|InvalidOption { member, problem }| ProtocolError::invalid(path(&member), problem))
}

/// Refuses times that contradict each other, whatever the current time.
pub fn check_times(options: &DurabilityOptions) -> Result<()> {
    match (options.not_before, options.deadline) {
        (Some(not_before), Some(deadline)) if deadline <= not_before => {
            Err(ProtocolError::invalid(path("deadline"), "must be later than notBefore"))
        }
        _ => Ok(()),
    }
}

/// Refuses a deadline that has passed.
pub fn check_deadline(options: &DurabilityOptions, now: Timestamp) -> Result<()> {
    match options.deadline {
        Some(deadline) if deadline <= now => Err(ProtocolError::invalid(
            path("deadline"),
            "has passed already; give a later one or none",
        )),
        _ => Ok(()),
    }
}

/// Refuses options that can be set only when a task is created.
pub fn check_follow_up(options: &DurabilityOptions) -> Result<()> {
    let given = [
        ("priority", options.priority.is_some()),
        ("notBefore", options.not_before.is_some()),
        ("deadline", options.deadline.is_some()),
        ("queueTimeout", options.queue_timeout.is_some()),
        ("concurrencyKey", options.concurrency_key.is_some()),
    ];
    let violations: Vec<Violation> = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(member, _)| Violation::new(path(member), SET_AT_CREATION))
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(ProtocolError::InvalidParams(violations)) }
}

/// The deduplication key. An idempotency key replaces the message's id, so the same words under
/// another id are the same message.
pub fn dedupe_key(
    agent: &AgentName,
    options: &DurabilityOptions,
    user_message: &UserMessage,
) -> DedupeKey {
    let Some(key) = &options.idempotency_key else {
        return DedupeKey::from_message(agent, user_message);
    };
    let mut keyed = user_message.clone();
    // Keys are no longer than ids may be.
    if let Ok(id) = MessageId::new(key.as_str()) {
        keyed.message.message_id = id;
    }
    DedupeKey::from_idempotency_key(agent, key, &keyed)
}

/// Run options of a new task, from its message or else from the limits of its agent.
pub fn run_options(
    options: &DurabilityOptions,
    limits: &AgentLimits,
    now: Timestamp,
) -> RunOptions {
    // The total timeout of a task that begins later counts from that time.
    let from = options.not_before.map_or(now, |at| at.max(now));
    let latest = limits.total_timeout().and_then(|limit| later(from, limit));
    RunOptions {
        priority: options.priority.unwrap_or_default(),
        delay: Duration::ZERO,
        not_before: options.not_before,
        deadline: [options.deadline, latest].into_iter().flatten().min(),
        queue_timeout: options.queue_timeout.or(limits.queue_timeout()),
        concurrency_key: options.concurrency_key.clone(),
    }
}

/// The time `wait` after another; `None` when no store could hold it.
fn later(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    const MAX_TIME_SECONDS: i64 = 253_402_300_800;
    let at = now.checked_add_signed(chrono::TimeDelta::from_std(wait).ok()?)?;
    (at.timestamp() < MAX_TIME_SECONDS).then_some(at)
}

/// Path of an option in the request, for violations.
pub fn path(member: &str) -> String {
    let dot = if member.is_empty() { "" } else { "." };
    format!("message.metadata[\"{DURABILITY_EXTENSION}\"]{dot}{member}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{JsonObject, Part, Role};

    fn message(options: &str) -> Message {
        let id = MessageId::new("m").unwrap();
        let metadata = format!("{{\"{DURABILITY_EXTENSION}\":{options}}}");
        Message {
            metadata: Some(JsonObject::parse(&metadata).unwrap()),
            ..Message::new(id, Role::User, vec![Part::text("hi")])
        }
    }

    fn options(text: &str) -> DurabilityOptions {
        read(&message(text)).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn fields(error: ProtocolError) -> Vec<String> {
        let ProtocolError::InvalidParams(violations) = error else { panic!("{error}") };
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn invalid_options_are_reported_by_path() {
        let error = read(&message(r#"{"maxAttempts":0}"#)).unwrap_err();
        assert_eq!(
            fields(error),
            [r#"message.metadata["urn:longhaul:a2a:durability:v1"].maxAttempts"#]
        );
        let error = read(&message("[]")).unwrap_err();
        assert_eq!(fields(error), [r#"message.metadata["urn:longhaul:a2a:durability:v1"]"#]);
    }

    #[test]
    fn a_follow_up_may_only_set_options_of_its_turn() {
        let turn = r#"{"maxAttempts":2,"timeout":5,"noProgressTimeout":1,"idempotencyKey":"k"}"#;
        assert!(check_follow_up(&options(turn)).is_ok());
        let task = r#"{"priority":0,"notBefore":"2030-01-01T00:00:00Z","concurrencyKey":"c",
            "deadline":"2031-01-01T00:00:00Z","queueTimeout":1}"#;
        assert_eq!(fields(check_follow_up(&options(task)).unwrap_err()).len(), 5);
    }

    #[test]
    fn a_deadline_must_be_in_the_future_and_after_not_before() {
        let now = at("2030-01-01T00:00:00Z");
        let soon = options(r#"{"deadline":"2030-01-01T00:00:01Z"}"#);
        assert!(check_deadline(&soon, now).is_ok());
        assert!(check_deadline(&soon, at("2030-01-01T00:00:01Z")).is_err());
        let never = r#"{"deadline":"2030-01-01T00:00:01Z","notBefore":"2030-01-01T00:00:01Z"}"#;
        assert!(check_times(&options(never)).is_err());
        assert!(check_times(&soon).is_ok());
    }

    #[test]
    fn the_earlier_deadline_wins_and_limits_are_defaults() {
        let now = at("2030-01-01T00:00:00Z");
        let limits = AgentLimits {
            total_timeout_ms: Some(60_000),
            queue_timeout_ms: Some(5_000),
            ..AgentLimits::default()
        };
        let run = run_options(&options("{}"), &limits, now);
        assert_eq!(run.deadline, Some(at("2030-01-01T00:01:00Z")));
        assert_eq!(run.queue_timeout, Some(Duration::from_secs(5)));
        let sooner = options(r#"{"deadline":"2030-01-01T00:00:30Z","queueTimeout":"1s"}"#);
        let run = run_options(&sooner, &limits, now);
        assert_eq!(run.deadline, Some(at("2030-01-01T00:00:30Z")));
        assert_eq!(run.queue_timeout, Some(Duration::from_secs(1)));
        let later = options(r#"{"deadline":"2030-01-02T00:00:00Z"}"#);
        assert_eq!(run_options(&later, &limits, now).deadline, Some(at("2030-01-01T00:01:00Z")));
        let scheduled = options(r#"{"notBefore":"2030-01-03T00:00:00Z"}"#);
        let run = run_options(&scheduled, &limits, now);
        assert_eq!(run.deadline, Some(at("2030-01-03T00:01:00Z")));
        let endless = AgentLimits { total_timeout_ms: Some(u64::MAX), ..AgentLimits::default() };
        assert_eq!(run_options(&options("{}"), &endless, now).deadline, None);
    }

    #[test]
    fn an_idempotency_key_replaces_the_message_id() {
        let agent = AgentName::new("echo").unwrap();
        let keyed = message(r#"{"idempotencyKey":"k"}"#);
        let key = |message: Message| {
            let options = read(&message).unwrap();
            dedupe_key(&agent, &options, &UserMessage::new(message))
        };
        let renamed = Message { message_id: MessageId::new("n").unwrap(), ..keyed.clone() };
        assert_eq!(key(keyed.clone()), key(renamed));
        let other = Message { parts: vec![Part::text("other")], ..keyed.clone() };
        assert_eq!(key(keyed.clone()).key, key(other.clone()).key);
        assert_ne!(key(keyed).content, key(other).content);
    }
}
