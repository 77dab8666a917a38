//! On which terms a task is run: its executor's policy, and what its messages say otherwise.

use longhaul_domain::{DurabilityOptions, JsonObject};
use longhaul_executor::RunPolicy;

/// The terms of a run, from the metadata of the task's first message and of the client's last one. What the last message of the client says goes first, then what the task's first message says, then
/// the policy. Messages with options that cannot be read were refused when they came; one that is there all the same says
/// nothing.
pub fn terms(
    policy: RunPolicy,
    first: Option<&JsonObject>,
    last: Option<&JsonObject>,
) -> RunPolicy {
    [read(first), read(last)].iter().fold(policy, overridden)
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
    use longhaul_domain::extension;
    use std::time::Duration;

    fn asking(options: &str) -> JsonObject {
        JsonObject::parse(&format!("{{\"{}\": {options}}}", extension::DURABILITY_EXTENSION))
            .unwrap()
    }

    fn terms_of(first: Option<&str>, last: Option<&str>) -> RunPolicy {
        let (first, last) = (first.map(asking), last.map(asking));
        terms(RunPolicy::default(), first.as_ref(), last.as_ref())
    }

    #[test]
    fn a_task_whose_messages_say_nothing_is_run_by_its_executors_policy() {
        assert_eq!(terms_of(None, None), RunPolicy::default());
        assert_eq!(terms_of(Some("null"), Some("null")), RunPolicy::default());
    }

    #[test]
    fn the_first_message_of_a_task_changes_the_policy() {
        let options = r#"{"maxAttempts": 7, "timeout": "90s", "noProgressTimeout": 5}"#;
        let terms = terms_of(Some(options), None);
        assert_eq!(terms.max_attempts, 7);
        assert_eq!(terms.timeout, Duration::from_secs(90));
        assert_eq!(terms.no_progress, Some(Duration::from_secs(5)));
        assert_eq!(terms.backoff, RunPolicy::default().backoff);
    }

    #[test]
    fn the_last_message_goes_before_the_first() {
        let terms =
            terms_of(Some(r#"{"maxAttempts": 7, "timeout": 90}"#), Some(r#"{"maxAttempts": 2}"#));
        assert_eq!((terms.max_attempts, terms.timeout), (2, Duration::from_secs(90)));
    }

    #[test]
    fn options_that_cannot_be_read_say_nothing() {
        let unreadable = r#"{"maxAttempts": 0, "timeout": 5}"#;
        assert_eq!(terms_of(Some(unreadable), Some(unreadable)), RunPolicy::default());
    }
}
