//! The effective policy of a run: the executor's policy, overridden by message options.

use longhaul_domain::{DurabilityOptions, JsonObject};
use longhaul_executor::RunPolicy;

/// The policy of a run, overridden by options in the metadata of the task's first message and then
/// of the client's last one.
///
/// Messages with invalid options are rejected on arrival; in one that is stored all the same, the
/// options are ignored.
pub fn effective_policy(
    policy: RunPolicy,
    first: Option<&JsonObject>,
    last: Option<&JsonObject>,
) -> RunPolicy {
    [options(first), options(last)].iter().fold(policy, with_options)
}

fn options(metadata: Option<&JsonObject>) -> DurabilityOptions {
    DurabilityOptions::from_metadata(metadata).unwrap_or_default()
}

fn with_options(policy: RunPolicy, options: &DurabilityOptions) -> RunPolicy {
    RunPolicy {
        timeout: options.timeout.unwrap_or(policy.timeout),
        no_progress: options.no_progress_timeout.or(policy.no_progress),
        // A task gets one attempt even under a policy of none.
        max_attempts: options.max_attempts.unwrap_or(policy.max_attempts).max(1),
        backoff: policy.backoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::extension;
    use std::time::Duration;

    fn metadata(options: &str) -> JsonObject {
        JsonObject::parse(&format!("{{\"{}\": {options}}}", extension::DURABILITY_EXTENSION))
            .unwrap()
    }

    fn policy_of(first: Option<&str>, last: Option<&str>) -> RunPolicy {
        let (first, last) = (first.map(metadata), last.map(metadata));
        effective_policy(RunPolicy::default(), first.as_ref(), last.as_ref())
    }

    #[test]
    fn a_task_without_options_runs_under_its_executors_policy() {
        assert_eq!(policy_of(None, None), RunPolicy::default());
        assert_eq!(policy_of(Some("null"), Some("null")), RunPolicy::default());
    }

    #[test]
    fn options_of_the_first_message_override_the_policy() {
        let options = r#"{"maxAttempts": 7, "timeout": "90s", "noProgressTimeout": 5}"#;
        let policy = policy_of(Some(options), None);
        assert_eq!(policy.max_attempts, 7);
        assert_eq!(policy.timeout, Duration::from_secs(90));
        assert_eq!(policy.no_progress, Some(Duration::from_secs(5)));
        assert_eq!(policy.backoff, RunPolicy::default().backoff);
    }

    #[test]
    fn options_of_the_last_message_override_the_first() {
        let policy =
            policy_of(Some(r#"{"maxAttempts": 7, "timeout": 90}"#), Some(r#"{"maxAttempts": 2}"#));
        assert_eq!((policy.max_attempts, policy.timeout), (2, Duration::from_secs(90)));
    }

    #[test]
    fn invalid_options_are_ignored() {
        let unreadable = r#"{"maxAttempts": 0, "timeout": 5}"#;
        assert_eq!(policy_of(Some(unreadable), Some(unreadable)), RunPolicy::default());
    }
}
