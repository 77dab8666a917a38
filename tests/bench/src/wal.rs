//! What Postgres wrote and committed.

use longhaul_tests::{Database, eventually::eventually_blocking};
use std::time::Duration;

/// Counters of the server at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    wal: i64,
    commits: i64,
}

impl Counters {
    /// Reads them. The server publishes commits with a delay, so they are read until they stand still.
    pub fn read(database: &Database) -> Self {
        let number = |sql: &str| database.sql(sql).parse::<i64>().unwrap_or_default();
        let commits = || {
            number("select xact_commit from pg_stat_database where datname = current_database()")
        };
        let mut last = commits();
        let still = eventually_blocking(Duration::from_secs(20), "commits stand still", || {
            std::thread::sleep(Duration::from_millis(1_100));
            let before = std::mem::replace(&mut last, commits());
            // Idle processes look for work a few times a second, and so do these reads.
            if last - before < 30 { Ok(last) } else { Err(last - before) }
        });
        let wal = number("select (pg_current_wal_lsn() - '0/0')::bigint");
        Self { wal, commits: still }
    }

    /// WAL bytes and commits since an earlier reading.
    pub const fn since(self, earlier: Self) -> (i64, i64) {
        (self.wal - earlier.wal, self.commits - earlier.commits)
    }
}
