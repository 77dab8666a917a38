//! Options of the durability extension, by which a client controls how its task runs. They stand in
//! the metadata of a message under [`extension::DURABILITY_EXTENSION`].
//!
//! Unknown members are ignored, null means absent. Durations are seconds, as a number or in
//! ProtoJSON form (`"90s"`, `"1.5s"`); times are RFC 3339 with any offset.

use crate::{Json, JsonObject, Timestamp, extension, text::check_identifier};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// The range of priorities. Higher ones go first; the default is 0.
pub const PRIORITY_RANGE: std::ops::RangeInclusive<i16> = -100..=100;

/// Maximum length of a concurrency or idempotency key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// Maximum number of attempts that a client may ask for.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// Maximum duration of a timeout: a hundred years.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The durability options of a message. Absent ones leave the choice to the agent's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DurabilityOptions {
    /// `priority`: order among tasks of the same owner and agent; higher goes first.
    pub priority: Option<i16>,
    /// `notBefore`: earliest start.
    pub not_before: Option<Timestamp>,
    /// `deadline`: latest end; a task that has not ended by then fails, even when parked.
    pub deadline: Option<Timestamp>,
    /// `maxAttempts`: number of attempts after which a failure is final.
    pub max_attempts: Option<u32>,
    /// `timeout`: start-to-close timeout of one attempt.
    pub timeout: Option<Duration>,
    /// `queueTimeout`: maximum wait of the runnable task for its first start.
    pub queue_timeout: Option<Duration>,
    /// `noProgressTimeout`: maximum time of an attempt without progress.
    pub no_progress_timeout: Option<Duration>,
    /// `idempotencyKey`: replaces the message id as deduplication key.
    pub idempotency_key: Option<String>,
    /// `concurrencyKey`: limits concurrency among tasks of one owner and agent with the same key,
    /// by default to one.
    pub concurrency_key: Option<String>,
}

/// The error of a member that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member} {problem}")]
pub struct InvalidOption {
    /// The member's name, such as `maxAttempts`; empty for the whole value.
    pub member: String,
    /// The problem, as the rest of a sentence.
    pub problem: String,
}

impl DurabilityOptions {
    /// Reads the options from the metadata of a message.
    pub fn from_metadata(metadata: Option<&JsonObject>) -> Result<Self, InvalidOption> {
        let Some(value) =
            metadata.and_then(|metadata| metadata.get(extension::DURABILITY_EXTENSION))
        else {
            return Ok(Self::default());
        };
        // ProtoJSON writes absent members as null.
        if value.as_str() == "null" {
            return Ok(Self::default());
        }
        let members = OptionMembers::parse(&value)?;
        Ok(Self {
            priority: members.integer("priority", PRIORITY_RANGE)?,
            not_before: members.time("notBefore")?,
            deadline: members.time("deadline")?,
            max_attempts: members.integer("maxAttempts", 1..=MAX_ATTEMPTS)?,
            timeout: members.duration("timeout")?,
            queue_timeout: members.duration("queueTimeout")?,
            no_progress_timeout: members.duration("noProgressTimeout")?,
            idempotency_key: members.key("idempotencyKey")?,
            concurrency_key: members.key("concurrencyKey")?,
        })
    }
}

/// The names of all members.
const MEMBER_NAMES: [&str; 9] = [
    "priority",
    "notBefore",
    "deadline",
    "maxAttempts",
    "timeout",
    "queueTimeout",
    "noProgressTimeout",
    "idempotencyKey",
    "concurrencyKey",
];

/// Maximum size of a member that [`DurabilityOptions::known_members`] keeps, in bytes: a valid key
/// with every character escaped.
const MAX_KNOWN_MEMBER_BYTES: usize = 6 * MAX_KEY_BYTES + 2;

impl DurabilityOptions {
    /// The options of a message in their original form, without unknown and oversized members.
    pub(crate) fn known_members(metadata: &JsonObject) -> Option<JsonObject> {
        let mut members =
            JsonObject::new(metadata.get(extension::DURABILITY_EXTENSION)?).ok()?.members().ok()?;
        // Unknown members would make the reference as large as the metadata it replaces.
        members.retain(|name, value| {
            MEMBER_NAMES.contains(&name.as_str()) && value.as_str().len() <= MAX_KNOWN_MEMBER_BYTES
        });
        JsonObject::from_members(&members).ok()
    }
}

struct OptionMembers(BTreeMap<String, Json>);

impl OptionMembers {
    fn parse(value: &Json) -> Result<Self, InvalidOption> {
        let object = JsonObject::new(value.clone()).and_then(|object| object.members());
        object
            .map(Self)
            .map_err(|error| InvalidOption { member: String::new(), problem: error.to_string() })
    }

    fn get<'a, T: Deserialize<'a>>(
        &'a self,
        member: &str,
        wanted: &str,
    ) -> Result<Option<T>, InvalidOption> {
        match self.0.get(member) {
            None => Ok(None),
            Some(value) => value.to::<Option<T>>().map_err(|_| invalid(member, wanted)),
        }
    }

    fn integer<T: TryFrom<i64> + PartialOrd + std::fmt::Display>(
        &self,
        member: &str,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<Option<T>, InvalidOption> {
        let wanted = format!("must be an integer from {} to {}", range.start(), range.end());
        // Read as a float: protobuf clients send every number as one, `7.0` for 7.
        let Some(number) = self.get::<f64>(member, &wanted)? else { return Ok(None) };
        // Below 1e15 every whole number has an exact double, so the cast loses nothing.
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is small")]
        let whole = (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
        let number = whole.and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n));
        number.map(Some).ok_or_else(|| invalid(member, &wanted))
    }

    fn time(&self, member: &str) -> Result<Option<Timestamp>, InvalidOption> {
        const WANTED: &str =
            "must be a time as RFC 3339 writes it, such as \"2030-01-31T12:00:00Z\"";
        let Some(text) = self.get::<String>(member, WANTED)? else { return Ok(None) };
        let time = chrono::DateTime::parse_from_rfc3339(text.trim());
        let time = time.map_err(|_| invalid(member, WANTED))?.to_utc();
        // 1970 to 9999: the years that every store can hold.
        let in_range = (0..253_402_300_800).contains(&time.timestamp());
        if in_range { Ok(Some(time)) } else { Err(invalid(member, WANTED)) }
    }

    fn duration(&self, member: &str) -> Result<Option<Duration>, InvalidOption> {
        const WANTED: &str = "must be a length of time in seconds above 0, such as 90 or \"1.5s\", at most 100 years";
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum DurationForm {
            Number(f64),
            Text(String),
        }
        let seconds = match self.get::<DurationForm>(member, WANTED)? {
            None => return Ok(None),
            Some(DurationForm::Number(seconds)) => Some(seconds),
            Some(DurationForm::Text(text)) => {
                text.trim().strip_suffix('s').and_then(|seconds| seconds.parse().ok())
            }
        };
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            // Times are kept to the millisecond; anything less would become zero.
            .filter(|timeout| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(timeout))
            .map(Some)
            .ok_or_else(|| invalid(member, WANTED))
    }

    fn key(&self, member: &str) -> Result<Option<String>, InvalidOption> {
        let wanted =
            format!("must be a text of 1 to {MAX_KEY_BYTES} bytes without control characters");
        let Some(text) = self.get::<String>(member, &wanted)? else { return Ok(None) };
        check_identifier(&text, MAX_KEY_BYTES).map_err(|_| invalid(member, &wanted))?;
        Ok(Some(text))
    }
}

fn invalid(member: &str, problem: &str) -> InvalidOption {
    InvalidOption { member: member.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Result<DurabilityOptions, InvalidOption> {
        let metadata = format!("{{\"{}\": {options}}}", extension::DURABILITY_EXTENSION);
        DurabilityOptions::from_metadata(Some(&JsonObject::parse(&metadata).unwrap()))
    }

    #[test]
    fn every_option_is_read() {
        let options = read(
            r#"{"priority": 5, "notBefore": "2030-01-01T01:00:00+01:00", "deadline": "2030-01-02T00:00:00Z",
                "maxAttempts": 7.0, "timeout": "1.5s", "queueTimeout": 60, "noProgressTimeout": "5s",
                "idempotencyKey": "k", "concurrencyKey": "c", "unknown": {}}"#,
        )
        .unwrap();
        assert_eq!(options.priority, Some(5));
        assert_eq!(options.not_before.unwrap().to_rfc3339(), "2030-01-01T00:00:00+00:00");
        assert_eq!(options.max_attempts, Some(7));
        assert_eq!(options.timeout, Some(Duration::from_millis(1_500)));
        assert_eq!(options.queue_timeout, Some(Duration::from_secs(60)));
        assert_eq!(options.no_progress_timeout, Some(Duration::from_secs(5)));
        assert_eq!(options.idempotency_key.as_deref(), Some("k"));
        assert_eq!(options.concurrency_key.as_deref(), Some("c"));
    }

    #[test]
    fn absent_and_null_options_are_defaults() {
        assert_eq!(DurabilityOptions::from_metadata(None).unwrap(), DurabilityOptions::default());
        assert_eq!(read("null").unwrap(), DurabilityOptions::default());
        assert_eq!(read(r#"{"priority": null}"#).unwrap(), DurabilityOptions::default());
    }

    #[test]
    fn an_invalid_option_is_named() {
        for (options, member) in [
            (r#"{"priority": 101}"#, "priority"),
            (r#"{"priority": 0.5}"#, "priority"),
            (r#"{"priority": "high"}"#, "priority"),
            (r#"{"maxAttempts": 0}"#, "maxAttempts"),
            (r#"{"maxAttempts": 1e999}"#, "maxAttempts"),
            (r#"{"notBefore": "tomorrow"}"#, "notBefore"),
            (r#"{"deadline": "+12000-01-01T00:00:00Z"}"#, "deadline"),
            (r#"{"timeout": 0}"#, "timeout"),
            (r#"{"timeout": -1}"#, "timeout"),
            (r#"{"timeout": "1m"}"#, "timeout"),
            (r#"{"queueTimeout": 1e300}"#, "queueTimeout"),
            (r#"{"idempotencyKey": ""}"#, "idempotencyKey"),
            (r#"{"concurrencyKey": 3}"#, "concurrencyKey"),
            ("[]", ""),
        ] {
            assert_eq!(read(options).unwrap_err().member, member, "{options}");
        }
    }
}
