//! What sessions set.
//!
//! Every hot statement walks indexes from a handful of keys; a plan that reads a table whole, or hashes one, is never right
//! for it. Sessions therefore plan once per statement (generic plans) and only with index walks, which makes the plans in
//! production the ones that the tests look at.
//!
//! Settings are made by statements after connecting, not by startup options, which poolers refuse or drop.

use std::fmt::Write;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// The store's statements; commits wait for the disk: everything that assigns a place in a log or answers a client.
    Synchronous,
    /// The store's statements; commits do not wait: claims, leases and hints.
    Relaxed,
    /// LISTEN.
    Listening,
    /// Locks that show that workers live.
    Watched,
    /// Looking for the server, migrating: nothing is set.
    Plain,
}

/// What every session of the store sets.
const STORE: [(&str, &str); 13] = [
    ("statement_timeout", "10s"),
    // A process that was frozen within a transaction keeps its locks no longer than this.
    ("idle_in_transaction_session_timeout", "5s"),
    ("lock_timeout", "8s"),
    ("default_transaction_isolation", "read committed"),
    ("timezone", "UTC"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // A bitmap reads all that a page is the beginning of.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("client_min_messages", "warning"),
];

/// By these the server, too, finds out that the other end is gone, and frees what it had locked.
const KEEPALIVES: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// The server finds out in about 10 seconds that the machine of a worker is gone.
const WATCHED: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "4"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];

/// None of these statements takes long, and each is given up early so that workers keep their leases.
const RELAXED: [(&str, &str); 3] = [
    ("synchronous_commit", "off"),
    ("statement_timeout", "8s"),
    // A claim takes the first of an index in its order. In a queue that was long and is short, sorting all that an owner has
    // is estimated to be as cheap, and is not when the queue is long again.
    ("enable_sort", "off"),
];

/// A statement whose connection was closed, because nobody waited for its answer, ends and lets go of its locks. Elsewhere than on
/// Linux some servers refuse this setting.
const ABANDONED: &str = "select set_config('client_connection_check_interval', '500ms', false) \
     where version() ~ 'linux';";

/// A role's or server's default of `off` must not turn acknowledged tasks into lost ones. Stronger and weaker waits that still
/// reach the disk (`remote_apply`, `local`) are the operator's choice.
const FLUSHED: &str = "select set_config('synchronous_commit', 'on', false) \
     where current_setting('synchronous_commit') = 'off';";

impl SessionKind {
    /// The statements that set a new session up, to be sent at once; empty when there are none.
    pub fn setup(self) -> String {
        match self {
            Self::Synchronous => sets(&[&STORE, &KEEPALIVES]) + ABANDONED + FLUSHED,
            Self::Relaxed => sets(&[&STORE, &KEEPALIVES, &RELAXED]) + ABANDONED,
            Self::Listening => sets(&[&KEEPALIVES]),
            Self::Watched => sets(&[&WATCHED]),
            Self::Plain => String::new(),
        }
    }
}

fn sets(groups: &[&[(&str, &str)]]) -> String {
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
