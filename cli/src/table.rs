//! Tables, and how values look in their cells.

use crate::screen::{Style, clean};
use comfy_table::{ContentArrangement, Row, Table, presets};
use longhaul_domain::Timestamp;

/// Spaces between columns.
const COLUMN_GAP: u16 = 2;

/// Formats rows below a header, without lines and without trailing spaces.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    table_without_header(std::iter::once(header).chain(rows))
}

/// Formats rows; the columns are as wide as their widest cell, whatever the width of the terminal.
pub fn table_without_header(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.into_iter().map(Row::from));
    // The last column is padded too; `trim_fmt` removes that.
    for column in table.column_iter_mut() {
        column.set_padding((0, COLUMN_GAP));
    }
    let mut text = table.trim_fmt();
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Formats a time in this machine's time zone.
pub fn local_time(at: Option<Timestamp>, style: Style) -> String {
    let local = at.map(|at| at.with_timezone(&style.offset));
    local.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Formats a length of time in its two largest units.
pub fn duration(millis: u64) -> String {
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

/// Puts a server's text on one line of at most this many characters, without control characters.
pub fn truncated(text: &str, max_chars: usize) -> String {
    // A line end within a cell would break the table.
    let line = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= max_chars {
        return line;
    }
    let start: String = line.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_spaces() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(table(&["ID", "STATE"], [row("12345", "ö")]), "ID     STATE\n12345  ö\n");
        let rows = [row("name", "one  two"), row("", "below"), row("empty", "")];
        assert_eq!(table_without_header(rows), "name   one  two\n       below\nempty\n");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (0, "0.0s"),
            (1_250, "1.2s"),
            (59_999, "59s"),
            (61_000, "1m 1s"),
            (3_600_000, "1h 0m"),
            (90_061_000, "1d 1h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }

    #[test]
    fn long_text_is_truncated_and_cannot_steer_the_terminal() {
        assert_eq!(truncated("one\n two\u{1b}[2J", 20), "one two\u{fffd}[2J");
        assert_eq!(truncated("one two three", 9), "one two…");
    }
}
