//! The durability extension: how a client wants a task to be run, in the metadata of its message under
//! [`extension::DURABILITY_EXTENSION`].
//!
//! Unknown members are ignored, null means absent. Lengths of time are seconds, as a number or as ProtoJSON writes them
//! (`"90s"`, `"1.5s"`); moments are RFC 3339 with any offset.

use crate::{Json, JsonObject, Timestamp, extension, text::check_identifier};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// The range of priorities; higher goes first, 0 is the default.
pub const PRIORITIES: std::ops::RangeInclusive<i16> = -100..=100;

/// Longest concurrency or idempotency key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// The most attempts that may be asked for.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// Longest length of time: a hundred years.
pub const MAX_PERIOD: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How a task is to be run, as far as its message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DurabilityOptions {
    /// `priority`: among the tasks of the same owner and agent, higher goes first.
    pub priority: Option<i16>,
    /// `notBefore`: not to be started earlier.
    pub not_before: Option<Timestamp>,
    /// `deadline`: must have ended by then, parked or not; otherwise it fails.
    pub deadline: Option<Timestamp>,
    /// `maxAttempts`: after so many attempts a failure is final.
    pub max_attempts: Option<u32>,
    /// `timeout`: how long one attempt may take.
    pub timeout: Option<Duration>,
    /// `queueTimeout`: how long the task may wait for its first start once it is runnable.
    pub queue_timeout: Option<Duration>,
    /// `noProgressTimeout`: how long an attempt may go on without a sign of progress.
    pub no_progress_timeout: Option<Duration>,
    /// `idempotencyKey`: takes the place of the message's id when repeated messages are recognised.
    pub idempotency_key: Option<String>,
    /// `concurrencyKey`: tasks of one owner and agent with the same key run one after the other, or as many at once as
    /// the agent allows.
    pub concurrency_key: Option<String>,
}

/// A member that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member} {problem}")]
pub struct InvalidOption {
    /// Its name, such as `maxAttempts`; empty: the whole value.
    pub member: String,
    /// What is wrong with it, as the rest of a sentence.
    pub problem: String,
}

impl DurabilityOptions {
    /// Reads the options from the metadata of a message.
    pub fn read(metadata: Option<&JsonObject>) -> Result<Self, InvalidOption> {
        let Some(value) =
            metadata.and_then(|metadata| metadata.get(extension::DURABILITY_EXTENSION))
        else {
            return Ok(Self::default());
        };
        if value.as_str() == "null" {
            return Ok(Self::default());
        }
        let members = Members::of(&value)?;
        Ok(Self {
            priority: members.integer("priority", PRIORITIES)?,
            not_before: members.moment("notBefore")?,
            deadline: members.moment("deadline")?,
            max_attempts: members.integer("maxAttempts", 1..=MAX_ATTEMPTS)?,
            timeout: members.period("timeout")?,
            queue_timeout: members.period("queueTimeout")?,
            no_progress_timeout: members.period("noProgressTimeout")?,
            idempotency_key: members.key("idempotencyKey")?,
            concurrency_key: members.key("concurrencyKey")?,
        })
    }
}

/// Names of all members.
const MEMBERS: [&str; 9] = [
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

/// Longest known member that [`DurabilityOptions::known_members`] keeps, in bytes: a valid one with every character escaped.
const MAX_KNOWN_MEMBER_BYTES: usize = 6 * MAX_KEY_BYTES + 2;

impl DurabilityOptions {
    /// The options of a message as it states them, without members that mean nothing, so they take little room.
    pub(crate) fn known_members(metadata: &JsonObject) -> Option<JsonObject> {
        let mut members =
            JsonObject::new(metadata.get(extension::DURABILITY_EXTENSION)?).ok()?.members().ok()?;
        members.retain(|name, value| {
            MEMBERS.contains(&name.as_str()) && value.as_str().len() <= MAX_KNOWN_MEMBER_BYTES
        });
        JsonObject::from_members(&members).ok()
    }
}

struct Members(BTreeMap<String, Json>);

impl Members {
    fn of(value: &Json) -> Result<Self, InvalidOption> {
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
        let Some(number) = self.get::<f64>(member, &wanted)? else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is small")]
        let whole = (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
        let number = whole.and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n));
        number.map(Some).ok_or_else(|| invalid(member, &wanted))
    }

    fn moment(&self, member: &str) -> Result<Option<Timestamp>, InvalidOption> {
        const WANTED: &str =
            "must be a time as RFC 3339 writes it, such as \"2030-01-31T12:00:00Z\"";
        let Some(text) = self.get::<String>(member, WANTED)? else { return Ok(None) };
        let moment = chrono::DateTime::parse_from_rfc3339(text.trim());
        let moment = moment.map_err(|_| invalid(member, WANTED))?.to_utc();
        // Every store can hold years of four digits.
        let in_range = (0..253_402_300_800).contains(&moment.timestamp());
        if in_range { Ok(Some(moment)) } else { Err(invalid(member, WANTED)) }
    }

    fn period(&self, member: &str) -> Result<Option<Duration>, InvalidOption> {
        const WANTED: &str = "must be a length of time in seconds above 0, such as 90 or \"1.5s\", at most 100 years";
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        let seconds = match self.get::<Written>(member, WANTED)? {
            None => return Ok(None),
            Some(Written::Number(seconds)) => Some(seconds),
            Some(Written::Text(text)) => {
                text.trim().strip_suffix('s').and_then(|seconds| seconds.parse().ok())
            }
        };
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|period| (Duration::from_millis(1)..=MAX_PERIOD).contains(period))
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
        DurabilityOptions::read(Some(&JsonObject::parse(&metadata).unwrap()))
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
    fn nothing_said_is_nothing_asked() {
        assert_eq!(DurabilityOptions::read(None).unwrap(), DurabilityOptions::default());
        assert_eq!(read("null").unwrap(), DurabilityOptions::default());
        assert_eq!(read(r#"{"priority": null}"#).unwrap(), DurabilityOptions::default());
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
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
