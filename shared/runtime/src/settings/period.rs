//! Lengths of time as people write them.

use std::{fmt, ops::Deref, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written `"500ms"`, `"15s"`, `"2m"`, `"1h"`, `"7d"` or as a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HumanDuration(Duration);

/// Longer than any sensible setting, and far from where adding to a time overflows: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl HumanDuration {
    /// What may be written.
    pub(crate) const ALLOWED: &str = "a length of time such as \"500ms\", \"15s\", \"2m\", \"1h\", \"7d\", or a number of seconds";

    /// A whole number of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A whole number of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length as a [`Duration`].
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Reads text; `None` when it is no length of time, negative, or longer than a hundred years.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
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
        if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        Self::from_seconds(plain.parse::<f64>().ok()? * scale)
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        // A millisecond is the finest that can be written; rounding removes the traces of binary fractions.
        let millis = u64::try_from((length + Duration::from_micros(500)).as_millis()).ok()?;
        Some(Self::millis(millis)).filter(|period| period.0 <= LONGEST)
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
    /// The shortest exact text, in the largest unit that divides the length.
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
        deserializer.deserialize_any(PeriodVisitor)
    }
}

struct PeriodVisitor;

impl de::Visitor<'_> for PeriodVisitor {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
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
        fn what_is_printed_reads_the_same(millis in 0..1_000_000_000_u64) {
            let period = HumanDuration::millis(millis);
            prop_assert_eq!(HumanDuration::parse(&period.to_string()), Some(period));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}") {
            let _ = HumanDuration::parse(&text);
        }
    }
}
