//! How moments, lengths of time and texts of servers look in a table.

use crate::screen::{Style, clean};
use longhaul_domain::Timestamp;

/// A moment in this machine's time zone.
pub fn time(at: Option<Timestamp>, style: Style) -> String {
    let local = at.map(|at| at.with_timezone(&style.offset));
    local.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A length of time of so many milliseconds, in its two largest units.
pub fn length(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{}.{}s", seconds, millis % 1_000 / 100),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Text of any length on one line of at most so many characters.
pub fn short(text: &str, most: usize) -> String {
    let line = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The first row of a table.
pub fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        let looks = [
            (0, "0.0s"),
            (1_250, "1.2s"),
            (59_999, "59s"),
            (61_000, "1m 1s"),
            (3_600_000, "1h 0m"),
            (90_061_000, "1d 1h"),
        ];
        for (millis, look) in looks {
            assert_eq!(length(millis), look);
        }
    }

    #[test]
    fn long_text_is_cut_and_cannot_steer_the_terminal() {
        assert_eq!(short("one\n two\u{1b}[2J", 20), "one two\u{fffd}[2J");
        assert_eq!(short("one two three", 9), "one two…");
    }
}
