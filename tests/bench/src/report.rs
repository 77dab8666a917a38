//! The figures as a table and as JSON.

use serde_json::json;
use std::time::Duration;

/// One measurement.
pub struct Row {
    pub stack: &'static str,
    pub what: String,
    pub rate: f64,
    pub unit: &'static str,
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// Bytes of WAL for each task or chunk.
    pub wal_bytes: Option<f64>,
    /// Commits for each task or chunk.
    pub commits: Option<f64>,
    /// CPU seconds of the stack's own processes for a thousand tasks or events.
    pub cpu_per_thousand: Option<f64>,
}

/// The value below which so many percent of sorted values lie.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "{:<12} {:<52} {:>14} {:>9} {:>9} {:>9} {:>8} {:>9}",
        "stack", "what", "rate", "p50 ms", "p99 ms", "WAL B", "commits", "CPU s/1k"
    );
    for row in rows {
        println!(
            "{:<12} {:<52} {:>14} {:>9} {:>9} {:>9} {:>8} {:>9}",
            row.stack,
            row.what,
            format!("{:.0} {}", row.rate, row.unit),
            millis(row.p50),
            millis(row.p99),
            number(row.wal_bytes, 0),
            number(row.commits, 3),
            number(row.cpu_per_thousand, 3),
        );
    }
}

/// The same as one line of JSON.
pub fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "stack": row.stack,
                "what": row.what,
                "rate": row.rate,
                "unit": row.unit,
                "p50_ms": row.p50.map(|d| d.as_secs_f64() * 1e3),
                "p99_ms": row.p99.map(|d| d.as_secs_f64() * 1e3),
                "wal_bytes": row.wal_bytes,
                "commits": row.commits,
                "cpu_seconds_per_1000": row.cpu_per_thousand,
            })
        })
        .collect();
    json!({ "rows": rows }).to_string()
}

fn millis(time: Option<Duration>) -> String {
    number(time.map(|time| time.as_secs_f64() * 1e3), 2)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
