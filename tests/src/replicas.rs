//! Two Postgres servers: a primary and a standby that can replace it.
//!
//! Guarantee: until the first switchover, every commit that the primary acknowledges is on both
//! servers (`synchronous_standby_names`), so no acknowledged commit is lost.

use std::time::Duration;

use crate::eventually::eventually_blocking;
use crate::postgres::Postgres;

const FOLLOW_LIMIT: Duration = Duration::from_secs(60);

/// A primary and its synchronous standby.
pub struct Replicas {
    /// Takes writes.
    pub primary: Postgres,
    /// Follows the primary; down between a promotion and [`Replicas::start_former`].
    pub standby: Postgres,
}

impl Replicas {
    /// Starts both servers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// [`Replicas::start`] with more settings for both servers.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let primary = Postgres::private_with(settings);
        let standby = Postgres::standby_of(&primary);
        let replicas = Self { primary, standby };
        // Not copied to the standby, which would wait for a standby of its own once promoted.
        replicas.primary.sql("alter system set synchronous_standby_names = '*'");
        replicas.primary.sql("select pg_reload_conf()");
        let streams =
            "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')";
        eventually_blocking(FOLLOW_LIMIT, "the standby follows synchronously", || {
            match replicas.primary.sql(streams).as_str() {
                "1" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
        replicas
    }

    /// Promotes the standby; the two swap roles.
    pub fn promote(&mut self) {
        // A former primary would wait for a standby that is gone. `alter system` works on standbys,
        // too.
        self.standby.sql("alter system reset synchronous_standby_names");
        self.standby.sql("select pg_reload_conf()");
        self.standby.sql("select pg_promote(true, 60)");
        std::mem::swap(&mut self.primary, &mut self.standby);
    }

    /// Starts the stopped primary as a standby. Both then answer and neither accepts writes until
    /// [`Replicas::promote`].
    pub fn demote(&mut self) {
        self.primary.start_as_standby_of(&self.standby);
    }

    /// Starts the former primary as a standby after a promotion. It serves clients that still
    /// connect to it.
    pub fn start_former(&mut self) {
        self.standby.start_as_standby_of(&self.primary);
    }
}

#[cfg(test)]
mod tests {
    use super::Replicas;
    use crate::Database;

    #[test]
    fn a_switchover_and_a_crash_keep_what_was_committed() {
        let mut replicas = Replicas::start();
        let mut database = Database::create_on(&replicas.primary);
        database.sql("create table t (n int); insert into t values (1)");
        replicas.primary.stop_fast();
        replicas.promote();
        replicas.start_former();
        database.move_to(&replicas.primary);
        database.sql("insert into t values (2)");
        let refused = replicas.standby.try_sql("create table u (n int)");
        assert!(refused.is_err_and(|error| error.contains("read-only")));
        replicas.standby.await_caught_up(&replicas.primary);
        replicas.primary.kill9();
        replicas.promote();
        database.move_to(&replicas.primary);
        assert_eq!(database.sql("select sum(n) from t"), "3");
    }
}
