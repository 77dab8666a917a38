//! Moments on the command line: when something happened, or shall happen.

use chrono::{DateTime, Local, LocalResult, NaiveDate, NaiveDateTime, NaiveTime};
use longhaul_domain::Timestamp;
use longhaul_runtime::settings::HumanDuration;
use std::{str::FromStr, time::Duration};

const ALLOWED: &str = "write a time such as 2030-01-31T12:00:00Z, 2030-01-31 12:00 or 2030-01-31 (of this machine's time \
                       zone where none is given), or a length of time such as 90s, 2h or 7d, from now";

/// A moment as it was written: fixed, or so far from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(Timestamp),
    /// So long ago, or in so long.
    Away(Duration),
}

impl Moment {
    /// The moment, where a length of time means the past.
    pub fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Away(away) => now - away,
        }
    }

    /// The moment, where a length of time means the future.
    pub fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Away(away) => now + away,
        }
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN));
        if let Some(local) = local.or_else(day) {
            return moment_of(local.and_local_timezone(Local).map(|at| at.to_utc())).map(Self::At);
        }
        HumanDuration::parse(text)
            .map(|away| Self::Away(away.get()))
            .ok_or_else(|| ALLOWED.to_owned())
    }
}

/// The moment of a local time. The hour that clocks show twice in autumn is the first one; one that they leave out in spring
/// has no moment.
fn moment_of(local: LocalResult<Timestamp>) -> Result<Timestamp, String> {
    match local {
        LocalResult::Single(at) => Ok(at),
        // Which of the two comes first in the value differs between platforms.
        LocalResult::Ambiguous(one, other) => Ok(one.min(other)),
        LocalResult::None => {
            Err(format!("the clocks of this machine's time zone leave that time out; {ALLOWED}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_clocks_show_twice_is_the_first_one() {
        let (first, second) =
            (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(3600));
        for local in [LocalResult::Ambiguous(first, second), LocalResult::Ambiguous(second, first)]
        {
            assert_eq!(moment_of(local), Ok(first));
        }
        assert!(moment_of(LocalResult::None).unwrap_err().contains("leave that time out"));
    }

    #[test]
    fn a_moment_is_fixed_or_so_far_from_now() {
        let now = DateTime::parse_from_rfc3339("2030-01-31T12:00:00Z").unwrap().to_utc();
        let read = |text: &str| text.parse::<Moment>().unwrap();
        assert_eq!(read("2030-01-31T13:00:00+01:00"), Moment::At(now));
        assert_eq!(read("2h").ago(now).to_rfc3339(), "2030-01-31T10:00:00+00:00");
        assert_eq!(read("90").ahead(now).to_rfc3339(), "2030-01-31T12:01:30+00:00");
        let local = now.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string();
        assert_eq!(read(&local), Moment::At(now));
        assert!(matches!(read("2030-01-31"), Moment::At(_)));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_is() {
        for text in ["", "tomorrow", "2030-13-01", "-2h", "1e9999"] {
            assert!(text.parse::<Moment>().unwrap_err().contains("2h"), "{text}");
        }
    }
}
