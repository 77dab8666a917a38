//! Which statements take the time of Postgres: a profile to steer by.
//!
//! Counting costs a few percent of Postgres' time, so it happens only when it is asked for.

use super::Watch;
use longhaul_tests::postgres::binaries;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The module of Postgres that counts.
pub const MODULE: &str = "pg_stat_statements";

/// What is said where it is missing.
pub const MISSING: &str = "pg_stat_statements is missing: Debian's package postgresql has it, other builds in their contrib modules";

/// How many statements are printed.
const TOP: usize = 30;

/// Whether the Postgres of this folder, or the usual one, has the module.
pub fn available(folder: Option<&Path>) -> bool {
    let bin = folder.map_or_else(binaries, Path::to_owned);
    let asked = Command::new(bin.join("pg_config")).arg("--pkglibdir").output();
    let said = asked.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut places = vec![bin.join("../lib"), bin.join("../lib/postgresql")];
    places.extend(said.map(PathBuf::from));
    places.iter().any(|place| place.join(format!("{MODULE}.so")).is_file())
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `store::name`, or the beginning of its text.
    pub name: String,
    /// The role that ran it.
    pub user: String,
    /// How often it ran.
    pub calls: i64,
    /// Rows that it gave or changed.
    pub rows: i64,
    /// In milliseconds.
    pub total: f64,
}

impl Statement {
    /// Whether it only begins or ends a transaction.
    pub fn is_control(&self) -> bool {
        let word = self.name.split_whitespace().next().unwrap_or_default();
        ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|control| word.eq_ignore_ascii_case(control))
    }
}

/// Forgets what was counted.
pub async fn reset(watch: &Watch) {
    watch.rows("select pg_stat_statements_reset()").await;
}

/// Everything that Longhaul's processes ran since the reset, the most time first.
pub async fn read(watch: &Watch) -> Vec<Statement> {
    let rows = watch
        .rows(
            "select s.query, r.rolname::text, s.calls, s.rows, s.total_exec_time \
             from pg_stat_statements s join pg_roles r on r.oid = s.userid \
             where r.rolname <> 'postgres' order by s.total_exec_time desc",
        )
        .await;
    let statement = |row: &tokio_postgres::Row| Statement {
        name: name(row.get(0)),
        user: row.get(1),
        calls: row.get(2),
        rows: row.get(3),
        total: row.get(4),
    };
    rows.iter().map(statement).collect()
}

/// Prints those that took the most time, for each of so many tasks.
pub fn print(title: &str, statements: &[Statement], tasks: f64) {
    let total: f64 = statements.iter().map(|one| one.total).sum();
    println!(
        "\nstatements of {title}: {:.1} ms of Postgres for a thousand tasks",
        total / tasks * 1e3
    );
    println!(
        "{:>7} {:>12} {:>11} {:>10} {:>10}  role and statement",
        "share", "ms/1k tasks", "calls/task", "rows/call", "ms/call"
    );
    for one in statements.iter().take(TOP) {
        #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
        let (calls, rows) = (one.calls.max(1) as f64, one.rows as f64);
        println!(
            "{:>6.1}% {:>12.2} {:>11.4} {:>10.2} {:>10.4}  {} {}",
            one.total / total * 100.0,
            one.total / tasks * 1e3,
            calls / tasks,
            rows / calls,
            one.total / calls,
            one.user,
            one.name,
        );
    }
}

/// The name that a statement of ours begins with, or the beginning of another's text.
fn name(query: &str) -> String {
    let first = query.lines().next().unwrap_or_default();
    match first.strip_prefix("-- ") {
        Some(name) => name.trim().to_owned(),
        None => first.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_statement_is_known_by_its_first_line() {
        assert_eq!(name("-- store::claim\nupdate queue"), "store::claim");
        assert_eq!(name("COMMIT"), "COMMIT");
        assert_eq!(name(""), "");
    }
}
