//! Every statement of the store, so that tests can prepare and explain each.

use crate::{connect, intake, keys, migrate, reading, registry, signals, work, write};

/// The statements that run with every task, and must never read a table whole.
pub const HOT: [&str; 25] = [
    intake::accept_new::ACCEPT_NEW,
    intake::known::KNOWN_KEYS,
    intake::known::PRUNE_KEYS,
    keys::AUTHENTICATE,
    reading::artifacts::ARTIFACT_CHUNKS,
    reading::artifacts::ARTIFACT_HEADS,
    reading::blobs::READ_BLOBS,
    reading::list::COUNT_CONTEXT,
    reading::list::COUNT_TASKS,
    reading::list::LIST_CONTEXT,
    reading::list::LIST_TASKS,
    reading::log::READ_LOGS,
    reading::messages::MESSAGES,
    reading::task::AGENT_OF,
    reading::task::READ_TASK,
    work::claim::CLAIM,
    work::claim::CLAIMED,
    work::claim::POSTPONE,
    work::lease::HEARTBEAT,
    work::lease::HELD_RUNS,
    work::lost::UNCLAIM,
    work::reap::LOST_RUNS,
    work::reap::OVERDUE_CANCELS,
    write::changes::WRITE_CHANGES,
    write::lock::LOCK_TASKS,
];

/// All others.
pub const COLD: [&str; 18] = [
    connect::IN_RECOVERY,
    keys::CREATE_KEY,
    keys::KEYS,
    keys::REVOKE_KEY,
    migrate::HAS_SCHEMA,
    migrate::LOCK_SCHEMA,
    migrate::NOTE_MIGRATION,
    migrate::READ_SCHEMA,
    reading::list::ESTIMATE_TASKS,
    registry::AGENTS,
    registry::LOCK_AGENTS,
    registry::PUT_AGENTS,
    signals::NOTIFY_MANY,
    work::lease::REGISTER_WORKER,
    work::lease::RETIRE_WORKER,
    work::reap::LOCK_LOST_WORKERS,
    work::reap::REAP_WORKERS,
    signals::ALIVE,
];
