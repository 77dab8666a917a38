//! Value types of settings: durations as people write them, and free-form tables.

use std::{fmt, ops::Deref, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml::{Table, Value};

/// A duration, written `"500ms"`, `"15s"`, `"2m"`, `"1h"`, `"7d"` or as a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HumanDuration(Duration);

/// Maximum duration: a hundred years. Longer than any useful setting, and safe to add to a time
/// without overflow.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

impl HumanDuration {
    /// The allowed values, in words.
    pub(crate) const ALLOWED: &str = "a length of time such as \"500ms\", \"15s\", \"2m\", \"1h\", \"7d\", or a number of seconds";

    /// Creates a duration of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Creates a duration of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Converts to a [`Duration`].
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Parses text; `None` if it is no duration, negative, or longer than a hundred years.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Split at the unit; a number without one is seconds.
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let scale = match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let plain = number.trim_end();
        // Plain digits only: the float parser would take `1e3`, `inf` and signs.
        if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        Self::from_seconds(plain.parse::<f64>().ok()? * scale)
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        // Round to the millisecond, the finest unit, to drop the error of binary fractions.
        let millis = u64::try_from((length + Duration::from_micros(500)).as_millis()).ok()?;
        Some(Self::millis(millis)).filter(|period| period.0 <= MAX_DURATION)
    }
}

impl Deref for HumanDuration {
    type Target = Duration;
    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(period: HumanDuration) -> Self {
        period.0
    }
}

impl fmt::Display for HumanDuration {
    /// Writes the shortest exact text, in the largest unit that divides the duration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match units.into_iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", millis / size),
            None if millis == 0 => f.write_str("0s"),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = HumanDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
        HumanDuration::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<HumanDuration, E> {
        HumanDuration::parse(&seconds.to_string())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<HumanDuration, E> {
        HumanDuration::parse(&seconds.to_string())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<HumanDuration, E> {
        HumanDuration::from_seconds(seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }
}

/// A table of any content, for values that others define. Converts to a JSON object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsTable(Table);

impl SettingsTable {
    /// Converts to JSON; times become text. `None` if it holds a number that JSON lacks, such as
    /// NaN.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        object(&self.0)
    }
}

fn object(table: &Table) -> Option<serde_json::Value> {
    let members = table.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
    members.collect::<Option<serde_json::Map<_, _>>>().map(serde_json::Value::Object)
}

fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Table(table) => object(table)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("1.5", 1_500),
            ("0.1s", 100),
            ("2 m", 120_000),
        ] {
            assert_eq!(HumanDuration::parse(text), Some(HumanDuration::millis(millis)), "{text}");
        }
        for text in
            ["", "s", "-1s", "1w", "1h30m", "1e3", "inf", "NaN", "1..2s", "9999999999h", "٣s"]
        {
            assert_eq!(HumanDuration::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back_the_same(millis in 0..1_000_000_000_u64) {
            let period = HumanDuration::millis(millis);
            prop_assert_eq!(HumanDuration::parse(&period.to_string()), Some(period));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,20}") {
            let _ = HumanDuration::parse(&text);
        }
    }

    fn to_json(text: &str) -> Option<String> {
        SettingsTable(text.parse().unwrap()).to_json().map(|json| json.to_string())
    }

    #[test]
    fn a_table_of_any_content_converts_to_json() {
        let text = "a = 1\nb = [1.5, true, \"x\"]\nc = { d = 2030-01-31T22:00:00Z, e = {} }\n";
        let json = r#"{"a":1,"b":[1.5,true,"x"],"c":{"d":"2030-01-31T22:00:00Z","e":{}}}"#;
        assert_eq!(to_json(text).unwrap(), json);
    }

    #[test]
    fn numbers_that_json_lacks_are_rejected() {
        assert_eq!(to_json("a = [{ b = nan }]"), None);
        assert_eq!(to_json("a = -inf"), None);
    }
}
