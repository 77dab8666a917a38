//! The durability extension in the metadata of a message, from flags.
//!
//! What `--metadata` says there stays, but for what a flag says too.

use crate::{args::Durability, exit::Failure};
use chrono::SecondsFormat;
use longhaul_domain::{Json, JsonObject, Timestamp, extension};
use longhaul_runtime::{Clock, settings::HumanDuration};
use serde::Serialize;
use std::collections::BTreeMap;

/// The metadata with what the flags say, or nothing when they say nothing.
pub fn metadata(
    flags: &Durability,
    metadata: Option<&JsonObject>,
    clock: &dyn Clock,
) -> Result<Option<JsonObject>, Failure> {
    let said = options(flags, clock.now())?;
    if said.is_empty() {
        return Ok(None);
    }
    let mut members = match metadata {
        Some(metadata) => metadata.members().map_err(|error| refused(&error))?,
        None => BTreeMap::new(),
    };
    let mut options = match members.remove(extension::DURABILITY_EXTENSION) {
        Some(given) => {
            let given = JsonObject::new(given).and_then(|given| given.members());
            given.map_err(|error| {
                refused(&format_args!("{}: {error}", extension::DURABILITY_EXTENSION))
            })?
        }
        None => BTreeMap::new(),
    };
    options.extend(said);
    let options = JsonObject::from_members(&options).map_err(|error| refused(&error))?;
    members.insert(extension::DURABILITY_EXTENSION.to_owned(), options.as_json().clone());
    JsonObject::from_members(&members).map(Some).map_err(|error| refused(&error))
}

fn refused(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("--metadata: {error}"))
}

/// The members that the flags stand for.
fn options(flags: &Durability, now: Timestamp) -> Result<BTreeMap<String, Json>, Failure> {
    let mut members = Members(BTreeMap::new());
    let moment = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    members.add("priority", flags.priority)?;
    members.add("notBefore", flags.not_before.map(|at| moment(at.ahead(now))))?;
    members.add("deadline", flags.deadline.map(|at| moment(at.ahead(now))))?;
    members.add("maxAttempts", flags.max_attempts)?;
    members.add("timeout", flags.timeout.map(seconds))?;
    members.add("queueTimeout", flags.queue_timeout.map(seconds))?;
    members.add("noProgressTimeout", flags.no_progress_timeout.map(seconds))?;
    members.add("idempotencyKey", flags.idempotency_key.as_ref())?;
    members.add("concurrencyKey", flags.concurrency_key.as_ref())?;
    Ok(members.0)
}

struct Members(BTreeMap<String, Json>);

impl Members {
    fn add(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), Failure> {
        if let Some(value) = value {
            let value = Json::from_serialize(&value).map_err(|error| refused(&error))?;
            self.0.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

/// A length of time as ProtoJSON writes it.
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
        let flags = Durability {
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
        let made = metadata(&flags, None, &clock).unwrap();
        let read = DurabilityOptions::read(made.as_ref()).unwrap();
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
    fn what_metadata_says_stays_but_for_what_a_flag_says() {
        let given = JsonObject::parse(&format!(
            "{{\"a\": 1, \"{}\": {{\"priority\": 1, \"maxAttempts\": 2}}}}",
            extension::DURABILITY_EXTENSION
        ))
        .unwrap();
        let flags = Durability { priority: Some(9), ..Durability::default() };
        let made = metadata(&flags, Some(&given), &ManualClock::default()).unwrap().unwrap();
        let read = DurabilityOptions::read(Some(&made)).unwrap();
        assert_eq!((read.priority, read.max_attempts), (Some(9), Some(2)));
        assert_eq!(made.get("a").unwrap().as_str(), "1");
    }

    #[test]
    fn nothing_said_leaves_the_metadata_alone() {
        let clock = ManualClock::default();
        assert_eq!(metadata(&Durability::default(), None, &clock), Ok(None));
        let bad =
            JsonObject::parse(&format!("{{\"{}\": 3}}", extension::DURABILITY_EXTENSION)).unwrap();
        let flags = Durability { priority: Some(1), ..Durability::default() };
        let refused = metadata(&flags, Some(&bad), &clock).unwrap_err();
        assert!(refused.to_string().starts_with("--metadata"), "{refused}");
    }
}
