//! A profile of the statements that Postgres executes.
//!
//! Counting costs a few percent of Postgres' time, so it is off by default.

use super::postgres_probe::PostgresProbe;
use longhaul_tests::postgres::binaries;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The Postgres module that counts statements.
pub const STATEMENTS_MODULE: &str = "pg_stat_statements";

/// Message for a missing module.
pub const STATEMENTS_MODULE_MISSING: &str = "pg_stat_statements is missing: Debian's package postgresql has it, other builds in their contrib modules";

/// Number of statements to print.
const MAX_PRINTED_STATEMENTS: usize = 30;

/// True when the Postgres in this folder, or the default one, has the module.
pub fn available(folder: Option<&Path>) -> bool {
    let bin = folder.map_or_else(binaries, Path::to_owned);
    let pkglibdir = Command::new(bin.join("pg_config")).arg("--pkglibdir").output();
    let pkglibdir =
        pkglibdir.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut folders = vec![bin.join("../lib"), bin.join("../lib/postgresql")];
    folders.extend(pkglibdir.map(PathBuf::from));
    folders.iter().any(|folder| folder.join(format!("{STATEMENTS_MODULE}.so")).is_file())
}

/// Counters of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementStats {
    /// The name, `store::function`, or the beginning of the text.
    pub name: String,
    /// The role that ran it.
    pub user: String,
    /// Number of executions.
    pub calls: i64,
    /// Rows returned or changed.
    pub rows: i64,
    /// Total time in milliseconds.
    pub total: f64,
}

impl StatementStats {
    /// True for statements that only begin or end a transaction.
    pub fn is_control(&self) -> bool {
        let word = self.name.split_whitespace().next().unwrap_or_default();
        ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|control| word.eq_ignore_ascii_case(control))
    }
}

/// Resets all counters.
pub async fn reset(probe: &PostgresProbe) {
    probe.rows("select pg_stat_statements_reset()").await;
}

/// The statements of Longhaul's processes since the reset, ordered by total time.
pub async fn read(probe: &PostgresProbe) -> Vec<StatementStats> {
    let rows = probe
        .rows(
            "select s.query, r.rolname::text, s.calls, s.rows, s.total_exec_time \
             from pg_stat_statements s join pg_roles r on r.oid = s.userid \
             where r.rolname <> 'postgres' order by s.total_exec_time desc",
        )
        .await;
    let statement = |row: &tokio_postgres::Row| StatementStats {
        name: name(row.get(0)),
        user: row.get(1),
        calls: row.get(2),
        rows: row.get(3),
        total: row.get(4),
    };
    rows.iter().map(statement).collect()
}

/// Prints the slowest statements, with times and counts per task.
pub fn print(title: &str, statements: &[StatementStats], tasks: f64) {
    let total: f64 = statements.iter().map(|one| one.total).sum();
    println!(
        "\nstatements of {title}: {:.1} ms of Postgres for a thousand tasks",
        total / tasks * 1e3
    );
    println!(
        "{:>7} {:>12} {:>11} {:>10} {:>10}  role and statement",
        "share", "ms/1k tasks", "calls/task", "rows/call", "ms/call"
    );
    for one in statements.iter().take(MAX_PRINTED_STATEMENTS) {
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

/// The name in a statement's first line, or the beginning of its text.
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
    fn a_statement_is_named_by_its_first_line() {
        assert_eq!(name("-- store::claim\nupdate queue"), "store::claim");
        assert_eq!(name("COMMIT"), "COMMIT");
        assert_eq!(name(""), "");
    }
}
