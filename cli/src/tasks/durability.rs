//! Options of the durability extension in a message's metadata, from flags.
//!
//! A flag replaces the member that `--metadata` has for the same option; its other members stay.

use crate::{args::DurabilityArgs, exit::CommandError};
use chrono::SecondsFormat;
use longhaul_domain::{Json, JsonObject, Timestamp, extension};
use longhaul_runtime::{Clock, settings::HumanDuration};
use serde::Serialize;
use std::collections::BTreeMap;

/// Adds the flags' options to the metadata; `None` if no flag is given.
pub fn metadata_with_options(
    flags: &DurabilityArgs,
    metadata: Option<&JsonObject>,
    clock: &dyn Clock,
) -> Result<Option<JsonObject>, CommandError> {
    let given = options_from_args(flags, clock.now())?;
    if given.is_empty() {
        return Ok(None);
    }
    let mut members = match metadata {
        Some(metadata) => metadata.members().map_err(|error| invalid_metadata(&error))?,
        None => BTreeMap::new(),
    };
    let mut options = match members.remove(extension::DURABILITY_EXTENSION) {
        Some(present) => {
            let present = JsonObject::new(present).and_then(|present| present.members());
            present.map_err(|error| {
                invalid_metadata(&format_args!("{}: {error}", extension::DURABILITY_EXTENSION))
            })?
        }
        None => BTreeMap::new(),
    };
    // Replaces members of the same name.
    options.extend(given);
    let options = JsonObject::from_members(&options).map_err(|error| invalid_metadata(&error))?;
    members.insert(extension::DURABILITY_EXTENSION.to_owned(), options.as_json().clone());
    JsonObject::from_members(&members).map(Some).map_err(|error| invalid_metadata(&error))
}

fn invalid_metadata(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::usage(format!("--metadata: {error}"))
}

/// Converts flags to members of the extension; relative times count from `now`.
fn options_from_args(
    flags: &DurabilityArgs,
    now: Timestamp,
) -> Result<BTreeMap<String, Json>, CommandError> {
    let mut members = OptionMembers(BTreeMap::new());
    let rfc3339 = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    members.add("priority", flags.priority)?;
    // Relative times become absolute here: the server would count from its own clock.
    members.add("notBefore", flags.not_before.map(|at| rfc3339(at.ahead(now))))?;
    members.add("deadline", flags.deadline.map(|at| rfc3339(at.ahead(now))))?;
    members.add("maxAttempts", flags.max_attempts)?;
    members.add("timeout", flags.timeout.map(seconds))?;
    members.add("queueTimeout", flags.queue_timeout.map(seconds))?;
    members.add("noProgressTimeout", flags.no_progress_timeout.map(seconds))?;
    members.add("idempotencyKey", flags.idempotency_key.as_ref())?;
    members.add("concurrencyKey", flags.concurrency_key.as_ref())?;
    Ok(members.0)
}

struct OptionMembers(BTreeMap<String, Json>);

impl OptionMembers {
    fn add(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), CommandError> {
        if let Some(value) = value {
            let value = Json::from_serialize(&value).map_err(|error| invalid_metadata(&error))?;
            self.0.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

/// Formats a duration as ProtoJSON does.
fn seconds(period: HumanDuration) -> String {
    format!("{}s", period.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::DurabilityOptions;
    use longhaul_runtime::ManualClock;
    use std::time::Duration;

    #[test]
    fn every_flag_is_understood_by_the_server() {
        let clock = ManualClock::default();
        let flags = DurabilityArgs {
            priority: Some(-5),
            not_before: Some("2h".parse().unwrap()),
            deadline: Some("2030-01-02T00:00:00Z".parse().unwrap()),
            max_attempts: Some(7),
            timeout: Some(HumanDuration::millis(1_500)),
            queue_timeout: Some(HumanDuration::seconds(60)),
            no_progress_timeout: Some(HumanDuration::seconds(5)),
            idempotency_key: Some("i".to_owned()),
            concurrency_key: Some("c".to_owned()),
        };
        let made = metadata_with_options(&flags, None, &clock).unwrap();
        let read = DurabilityOptions::from_metadata(made.as_ref()).unwrap();
        assert_eq!(read.priority, Some(-5));
        assert_eq!(read.not_before, Some(clock.now() + Duration::from_secs(7_200)));
        assert_eq!(read.deadline.unwrap().to_rfc3339(), "2030-01-02T00:00:00+00:00");
        assert_eq!(read.max_attempts, Some(7));
        assert_eq!(read.timeout, Some(Duration::from_millis(1_500)));
        assert_eq!(read.queue_timeout, Some(Duration::from_secs(60)));
        assert_eq!(read.no_progress_timeout, Some(Duration::from_secs(5)));
        assert_eq!(read.idempotency_key.as_deref(), Some("i"));
        assert_eq!(read.concurrency_key.as_deref(), Some("c"));
    }

    #[test]
    fn a_flag_replaces_only_its_own_member() {
        let given = JsonObject::parse(&format!(
            "{{\"a\": 1, \"{}\": {{\"priority\": 1, \"maxAttempts\": 2}}}}",
            extension::DURABILITY_EXTENSION
        ))
        .unwrap();
        let flags = DurabilityArgs { priority: Some(9), ..DurabilityArgs::default() };
        let made =
            metadata_with_options(&flags, Some(&given), &ManualClock::default()).unwrap().unwrap();
        let read = DurabilityOptions::from_metadata(Some(&made)).unwrap();
        assert_eq!((read.priority, read.max_attempts), (Some(9), Some(2)));
        assert_eq!(made.get("a").unwrap().as_str(), "1");
    }

    #[test]
    fn metadata_is_unchanged_without_flags() {
        let clock = ManualClock::default();
        assert_eq!(metadata_with_options(&DurabilityArgs::default(), None, &clock), Ok(None));
        let bad =
            JsonObject::parse(&format!("{{\"{}\": 3}}", extension::DURABILITY_EXTENSION)).unwrap();
        let flags = DurabilityArgs { priority: Some(1), ..DurabilityArgs::default() };
        let refused = metadata_with_options(&flags, Some(&bad), &clock).unwrap_err();
        assert!(refused.to_string().starts_with("--metadata"), "{refused}");
    }
}
