//! Settings of database sessions.
//!
//! Hot statements walk indexes from a handful of keys; sequential scans and hash joins are never
//! right for them. Sessions therefore use generic plans and index scans only, so production runs
//! the plans that the tests check.
//!
//! Settings are made by statements after connecting, because poolers reject or drop startup
//! options.

use std::fmt::Write;

/// Purpose of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Store statements whose commits wait for the disk: everything that assigns a log sequence or
    /// answers a client.
    Synchronous,
    /// Store statements whose commits do not wait: claims, leases and hints.
    Relaxed,
    /// LISTEN.
    Listening,
    /// Session locks that show that workers are alive.
    Watched,
    /// Host search and migration. No settings.
    Plain,
}

/// Settings of every store session.
const STORE_SETTINGS: [(&str, &str); 13] = [
    ("statement_timeout", "10s"),
    // Limits how long a process frozen inside a transaction keeps its locks.
    ("idle_in_transaction_session_timeout", "5s"),
    ("lock_timeout", "8s"),
    ("default_transaction_isolation", "read committed"),
    ("timezone", "UTC"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // A bitmap scan reads every match, where a page needs only the first ones.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("client_min_messages", "warning"),
];

/// Keepalive settings by which the server notices a dead peer and releases its locks.
const KEEPALIVE_SETTINGS: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// Keepalive settings by which the server notices within about 10 seconds that a worker's machine
/// is gone.
const WORKER_KEEPALIVE_SETTINGS: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "4"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];

/// Settings of relaxed sessions. Their statements are short and are cancelled early, so that
/// workers keep their leases.
const RELAXED_SETTINGS: [(&str, &str); 3] = [
    ("synchronous_commit", "off"),
    ("statement_timeout", "8s"),
    // A claim takes the first rows of an index. After a long queue has shrunk, the planner
    // estimates a sort of all of an owner's runs as equally cheap, and it is not once the queue
    // grows again.
    ("enable_sort", "off"),
];

/// Cancels statements whose client has disconnected and releases their locks. Only on Linux,
/// because servers elsewhere may reject the setting.
const DETECT_CLIENT_GONE: &str = "select set_config('client_connection_check_interval', '500ms', false) \
     where version() ~ 'linux';";

/// Overrides a default of `off` for the role or server, which would turn acknowledged tasks into
/// lost ones.
///
/// Stronger and weaker settings that still reach the disk (`remote_apply`, `local`) are the
/// operator's choice.
const REQUIRE_FLUSH: &str = "select set_config('synchronous_commit', 'on', false) \
     where current_setting('synchronous_commit') = 'off';";

impl SessionKind {
    /// Statements that set up a new session, sent in one round trip; empty if there are none.
    pub fn setup(self) -> String {
        match self {
            Self::Synchronous => {
                set_statements(&[&STORE_SETTINGS, &KEEPALIVE_SETTINGS])
                    + DETECT_CLIENT_GONE
                    + REQUIRE_FLUSH
            }
            Self::Relaxed => {
                set_statements(&[&STORE_SETTINGS, &KEEPALIVE_SETTINGS, &RELAXED_SETTINGS])
                    + DETECT_CLIENT_GONE
            }
            Self::Listening => set_statements(&[&KEEPALIVE_SETTINGS]),
            Self::Watched => set_statements(&[&WORKER_KEEPALIVE_SETTINGS]),
            Self::Plain => String::new(),
        }
    }
}

fn set_statements(groups: &[&[(&str, &str)]]) -> String {
    let mut sql = String::new();
    for (name, value) in groups.iter().flat_map(|group| group.iter()) {
        // Writing to a string cannot fail.
        let _ = write!(sql, "set {name} = '{value}';");
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_win_and_nothing_is_set_where_nothing_is_needed() {
        let relaxed = SessionKind::Relaxed.setup();
        let place = |set: &str| relaxed.find(set).unwrap();
        assert!(place("set statement_timeout = '10s'") < place("set statement_timeout = '8s'"));
        assert!(relaxed.contains("set synchronous_commit = 'off';"));
        assert!(!SessionKind::Synchronous.setup().contains("set synchronous_commit"));
        assert!(SessionKind::Plain.setup().is_empty());
    }
}
