//! On which terms a task is run: its executor's policy, and what its messages say otherwise.

use longhaul_domain::{DurabilityOptions, JsonObject, Role};
use longhaul_executor::RunPolicy;
use longhaul_store::Claimed;

/// The terms of a run. What the last message of the client says goes first, then what the task's first message says, then
/// the policy. Messages with options that cannot be read were refused when they came; one that is there all the same says
/// nothing.
pub fn terms(policy: RunPolicy, claimed: &Claimed) -> RunPolicy {
    let mut of_client = claimed.history.iter().filter(|item| item.message.role == Role::User);
    let first = of_client.next().map(|item| read(item.message.metadata.as_ref()));
    let last = of_client.next_back().map(|item| read(item.message.metadata.as_ref()));
    last.iter().chain(&first).rev().fold(policy, overridden)
}

fn read(metadata: Option<&JsonObject>) -> DurabilityOptions {
    DurabilityOptions::read(metadata).unwrap_or_default()
}

fn overridden(policy: RunPolicy, options: &DurabilityOptions) -> RunPolicy {
    RunPolicy {
        timeout: options.timeout.unwrap_or(policy.timeout),
        no_progress: options.no_progress_timeout.or(policy.no_progress),
        max_attempts: options.max_attempts.unwrap_or(policy.max_attempts).max(1),
        backoff: policy.backoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::claimed;
    use longhaul_domain::{HistoryItem, Message, MessageId, Part, Seq, extension};
    use std::time::Duration;

    fn said(seq: i64, role: Role, options: &str) -> HistoryItem {
        let metadata = format!("{{\"{}\": {options}}}", extension::DURABILITY);
        let message = Message {
            metadata: Some(JsonObject::parse(&metadata).unwrap()),
            ..Message::new(MessageId::new("m").unwrap(), role, vec![Part::text("x")])
        };
        HistoryItem { seq: Seq(seq), message }
    }

    fn terms_of(history: Vec<HistoryItem>) -> RunPolicy {
        terms(RunPolicy::default(), &Claimed { history, ..claimed(1) })
    }

    #[test]
    fn a_task_whose_messages_say_nothing_is_run_by_its_executors_policy() {
        assert_eq!(terms_of(Vec::new()), RunPolicy::default());
        assert_eq!(terms_of(vec![said(1, Role::User, "null")]), RunPolicy::default());
    }

    #[test]
    fn the_first_message_of_a_task_changes_the_policy() {
        let options = r#"{"maxAttempts": 7, "timeout": "90s", "noProgressTimeout": 5}"#;
        let terms = terms_of(vec![said(1, Role::User, options)]);
        assert_eq!(terms.max_attempts, 7);
        assert_eq!(terms.timeout, Duration::from_secs(90));
        assert_eq!(terms.no_progress, Some(Duration::from_secs(5)));
        assert_eq!(terms.backoff, RunPolicy::default().backoff);
    }

    #[test]
    fn the_last_message_goes_before_the_first_and_the_agent_has_no_say() {
        let terms = terms_of(vec![
            said(1, Role::User, r#"{"maxAttempts": 7, "timeout": 90}"#),
            said(2, Role::User, r#"{"maxAttempts": 8, "timeout": 91}"#),
            said(3, Role::Agent, r#"{"maxAttempts": 9}"#),
            said(4, Role::User, r#"{"maxAttempts": 2}"#),
            said(5, Role::Agent, r#"{"maxAttempts": 9}"#),
        ]);
        assert_eq!((terms.max_attempts, terms.timeout), (2, Duration::from_secs(90)));
    }

    #[test]
    fn options_that_cannot_be_read_say_nothing() {
        let unreadable = said(1, Role::User, r#"{"maxAttempts": 0, "timeout": 5}"#);
        assert_eq!(terms_of(vec![unreadable]), RunPolicy::default());
    }
}
