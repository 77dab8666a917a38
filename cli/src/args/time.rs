//! Times on the command line.

use chrono::{DateTime, Local, LocalResult, NaiveDate, NaiveDateTime, NaiveTime};
use longhaul_domain::Timestamp;
use longhaul_runtime::settings::HumanDuration;
use std::{str::FromStr, time::Duration};

const ALLOWED_FORMS: &str = "write a time such as 2030-01-31T12:00:00Z, 2030-01-31 12:00 or 2030-01-31 (of this machine's time \
                       zone where none is given), or a length of time such as 90s, 2h or 7d, from now";

/// A time as it was written: absolute, or relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeArg {
    /// An absolute time.
    At(Timestamp),
    /// A distance from now, into the past or the future.
    Relative(Duration),
}

impl TimeArg {
    /// Resolves the time; a distance counts into the past.
    pub fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Relative(distance) => now - distance,
        }
    }

    /// Resolves the time; a distance counts into the future.
    pub fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Relative(distance) => now + distance,
        }
    }
}

impl FromStr for TimeArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // RFC 3339 comes first: it names its offset, while the other forms are local times.
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN));
        if let Some(local) = local.or_else(day) {
            return resolve_local(local.and_local_timezone(Local).map(|at| at.to_utc()))
                .map(Self::At);
        }
        // A bare number is a duration in seconds, so this comes last.
        HumanDuration::parse(text)
            .map(|distance| Self::Relative(distance.get()))
            .ok_or_else(|| ALLOWED_FORMS.to_owned())
    }
}

/// Resolves a local time. In the hour that clocks repeat in autumn, the earlier time counts; the
/// hour that they skip in spring is an error.
fn resolve_local(local: LocalResult<Timestamp>) -> Result<Timestamp, String> {
    match local {
        LocalResult::Single(at) => Ok(at),
        // The order of the two differs between platforms.
        LocalResult::Ambiguous(one, other) => Ok(one.min(other)),
        LocalResult::None => Err(format!(
            "the clocks of this machine's time zone leave that time out; {ALLOWED_FORMS}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_local_time_is_the_earlier_one() {
        let (first, second) =
            (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(3600));
        for local in [LocalResult::Ambiguous(first, second), LocalResult::Ambiguous(second, first)]
        {
            assert_eq!(resolve_local(local), Ok(first));
        }
        assert!(resolve_local(LocalResult::None).unwrap_err().contains("leave that time out"));
    }

    #[test]
    fn a_time_is_absolute_or_relative() {
        let now = DateTime::parse_from_rfc3339("2030-01-31T12:00:00Z").unwrap().to_utc();
        let read = |text: &str| text.parse::<TimeArg>().unwrap();
        assert_eq!(read("2030-01-31T13:00:00+01:00"), TimeArg::At(now));
        assert_eq!(read("2h").ago(now).to_rfc3339(), "2030-01-31T10:00:00+00:00");
        assert_eq!(read("90").ahead(now).to_rfc3339(), "2030-01-31T12:01:30+00:00");
        let local = now.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string();
        assert_eq!(read(&local), TimeArg::At(now));
        assert!(matches!(read("2030-01-31"), TimeArg::At(_)));
    }

    #[test]
    fn other_text_is_refused_with_the_allowed_forms() {
        for text in ["", "tomorrow", "2030-13-01", "-2h", "1e9999"] {
            assert!(text.parse::<TimeArg>().unwrap_err().contains("2h"), "{text}");
        }
    }
}
