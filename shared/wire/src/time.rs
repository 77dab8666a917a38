//! Times as they are written: RFC 3339 in UTC with exactly three digits of fraction, cut and not rounded.

use chrono::{Datelike, SecondsFormat, Timelike};
use longhaul_domain::Timestamp;
use serde::{Serialize, Serializer};

/// A time in UTC with exactly three digits of fraction.
pub(crate) struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        if fill(&mut text, self.0)
            && let Ok(text) = std::str::from_utf8(&text)
        {
            return serializer.serialize_str(text);
        }
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Puts the digits in their places. `false` for a time that does not fit: a year of other than four digits, or a leap
/// second.
fn fill(text: &mut [u8; 24], at: Timestamp) -> bool {
    let time = at.time();
    let Ok(year @ 0..=9999) = u32::try_from(at.year()) else { return false };
    let nanos = time.nanosecond();
    if nanos >= 1_000_000_000 {
        return false;
    }
    for (range, number) in [
        (0..4, year),
        (5..7, at.month()),
        (8..10, at.day()),
        (11..13, time.hour()),
        (14..16, time.minute()),
        (17..19, time.second()),
        (20..23, nanos / 1_000_000),
    ] {
        digits(&mut text[range], number);
    }
    true
}

/// Writes a number with leading zeros; what does not fit is left out.
fn digits(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        // A digit is below ten.
        *place = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn written(at: Timestamp) -> String {
        serde_json::to_string(&Time(at)).unwrap()
    }

    fn expected(at: Timestamp) -> String {
        format!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    #[test]
    fn the_ends_of_the_calendar_and_a_leap_second_are_written_too() {
        let leap: Timestamp = "2016-12-31T23:59:60.5Z".parse().unwrap();
        let before: Timestamp = "-0001-01-01T00:00:00Z".parse().unwrap();
        for at in [leap, before, Timestamp::MIN_UTC, Timestamp::MAX_UTC, Timestamp::UNIX_EPOCH] {
            assert_eq!(written(at), expected(at));
        }
        assert_eq!(written(leap), "\"2016-12-31T23:59:60.500Z\"");
    }

    proptest! {
        #[test]
        fn a_time_is_rfc_3339_to_the_millisecond(
            seconds in -70_000_000_000i64..300_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let at = DateTime::from_timestamp(seconds, nanos).unwrap();
            prop_assert_eq!(written(at), expected(at));
        }
    }
}
