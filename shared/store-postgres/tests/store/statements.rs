//! Statements: each fits the schema, and no hot one scans a whole table, empty or full, under
//! generic plans.

use longhaul_store_postgres::{PostgresStore, statements};
use longhaul_tests::Database;
use std::{collections::BTreeSet, fmt::Write, fs, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

/// Session settings that plans depend on.
const SESSION: &str =
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off;
set enable_bitmapscan = off; set enable_mergejoin = off; set jit = off; set max_parallel_workers_per_gather = 0;";

/// Statements of relaxed sessions, which never sort what an index has in order.
const RELAXED: [&str; 9] = [
    "claim",
    "find_candidates",
    "claim_chosen",
    "hold_back",
    "heartbeat",
    "find_held_keys",
    "reap_scan",
    "promote_due_runs",
    "postpone_unreadable",
];

fn session(statement: &str) -> String {
    let sort = if RELAXED.contains(&statement) { " set enable_sort = off;" } else { "" };
    format!("{SESSION}{sort}")
}

/// Creates a migrated, empty database.
pub async fn migrated() -> Database {
    let database = Database::create();
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    database
}

fn name(statement: &str) -> &str {
    statement.lines().next().and_then(|line| line.strip_prefix("-- store::")).unwrap()
}

#[tokio::test]
async fn every_statement_has_a_unique_label_and_can_be_prepared() {
    let database = migrated().await;
    let mut script = String::new();
    let mut names = Vec::new();
    for statement in statements::HOT.iter().chain(&statements::COLD) {
        names.push(name(statement));
        writeln!(script, "prepare s{} as {statement};", names.len()).unwrap();
    }
    database.sql(&script);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

/// Labels of statements in a folder of sources.
fn labels(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(labels(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let after = text.split("\"-- store::").skip(1);
        found.extend(after.map(|rest| {
            rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
        }));
    }
    found
}

#[test]
fn every_statement_of_the_sources_is_listed() {
    let listed: BTreeSet<String> = statements::HOT
        .iter()
        .chain(&statements::COLD)
        .map(|statement| name(statement).to_owned())
        .collect();
    let written = labels(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // Tables are created once, and by nothing that is prepared.
    let missing: Vec<_> = written
        .difference(&listed)
        .filter(|name| {
            !(name.is_empty() || name.starts_with("create_") && name.ends_with("_table"))
        })
        .collect();
    assert!(missing.is_empty(), "in neither HOT nor COLD: {missing:?}");
}

/// Arguments of a statement, all null.
fn nulls(statement: &str) -> String {
    let highest = (1..60).filter(|n| statement.contains(&format!("${n}"))).max();
    let nulls = vec!["null"; highest.unwrap_or(0)].join(", ");
    if nulls.is_empty() { String::new() } else { format!("({nulls})") }
}

/// Guards migrations that add columns while processes hold prepared statements.
#[tokio::test]
async fn a_new_column_of_any_table_breaks_no_prepared_statement() {
    let database = migrated().await;
    let mut script = String::new();
    let all: Vec<&str> = statements::HOT.into_iter().chain(statements::COLD).collect();
    for statement in &all {
        writeln!(script, "prepare of_{} as {statement};", name(statement)).unwrap();
    }
    let tables = database.sql("select tablename from pg_tables where schemaname = 'public'");
    for table in tables.lines() {
        writeln!(script, "alter table {table} add column of_later text;").unwrap();
    }
    for statement in &all {
        writeln!(script, "explain execute of_{}{};", name(statement), nulls(statement)).unwrap();
    }
    assert!(tables.lines().count() > 8, "{tables}");
    database.sql(&script);
}

/// Generic plan of each hot statement.
fn plans(database: &Database) -> Vec<(&'static str, String)> {
    let mut script = String::new();
    for statement in statements::HOT {
        let (name, arguments) = (name(statement), nulls(statement));
        let session = session(name);
        writeln!(
            script,
            "reset all; {session} prepare of_{name} as {statement}; explain (costs off) execute of_{name}{arguments};
            select '{END_OF_PLAN}';"
        )
        .unwrap();
    }
    let all = database.sql(&script);
    let plans = all.split(END_OF_PLAN).map(|plan| plan.trim_matches('\n').to_owned());
    statements::HOT.iter().map(|statement| name(statement)).zip(plans).collect()
}

/// Separator between two plans.
const END_OF_PLAN: &str = "end of plan";

fn assert_no_scan(plans: &[(&str, String)]) {
    for (name, plan) in plans {
        for table in
            ["log", "tasks", "task_state", "runs", "message_keys", "blobs", "api_keys", "workers"]
        {
            let scan = format!("Seq Scan on {table}");
            let reads = plan.lines().any(|line| {
                line.split(&scan)
                    .nth(1)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            // A reap scan reads every worker.
            let known = *name == "reap_scan" && table == "workers";
            assert!(!reads || known, "{name} reads {table} whole:\n{plan}");
        }
        assert_every_walk_is_bounded(name, plan);
        assert!(!plan.contains("Hash Join") && !plan.contains("Merge Join"), "{name}:\n{plan}");
    }
}

/// Indexes that may be walked completely: claimed runs, which the workers' slots bound, and
/// workers.
const WALKED: [(&str, &str); 8] = [
    ("lock_lost_runs", "runs_worker"),
    ("count_running", "runs_worker"),
    ("hold_back", "runs_worker"),
    ("find_held_keys", "runs_worker"),
    ("reap_scan", "runs_worker"),
    ("reap_scan", "workers_pkey"),
    ("reap_scan", "server_epoch_pkey"),
    ("reap_scan", "server_run_pkey"),
];

/// Columns that an index scan must be bounded by.
const ENTRANCES: [(&str, &[&str]); 22] = [
    ("api_keys_hash_key", &["hash"]),
    ("blobs_pkey", &["owner_id", "hash"]),
    ("checkpoints_pkey", &["owner_id", "task_id"]),
    ("dead_letters_pkey", &["owner_id", "task_id"]),
    ("log_later_heads", &["owner_id", "task_id"]),
    ("log_later_messages", &["owner_id", "task_id", "seq"]),
    ("log_pkey", &["owner_id", "task_id", "seq"]),
    ("message_keys_pkey", &["owner_id", "key"]),
    ("runs_cancel", &["cancel_at"]),
    ("runs_held_back", &["agent"]),
    ("runs_pkey", &["owner_id"]),
    ("runs_queue", &["agent"]),
    ("runs_queue_timeout", &["queue_until"]),
    ("runs_scheduled", &["run_at"]),
    ("runs_worker", &["worker"]),
    ("schedules_due", &["next_at"]),
    ("schedules_pkey", &["owner_id", "name"]),
    ("task_state_deadline", &["deadline_at"]),
    ("task_state_newest", &["owner_id", "status_second"]),
    ("task_state_pkey", &["owner_id", "task_id"]),
    ("task_state_seldom", &["owner_id", "seldom"]),
    ("tasks_conversation", &["owner_id", "context_id"]),
];

/// Statements that read all runs of an owner, or walk one owner's tasks by id.
const BY_OWNER: [(&str, &str); 5] = [
    ("count_agent", "tasks_pkey"),
    ("count_live", "runs_pkey"),
    ("count_runs", "runs_pkey"),
    ("list_live", "runs_pkey"),
    ("queue_depth_of_owner", "runs_pkey"),
];

/// Asserts that every index scan is bounded by the index's leading columns.
fn assert_every_walk_is_bounded(name: &str, plan: &str) {
    let lines: Vec<&str> = plan.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((_, rest)) = line.split_once("Index Scan using ").or_else(|| {
            line.split_once("Index Only Scan using ").or_else(|| line.split_once("Backward using "))
        }) else {
            continue;
        };
        let index = rest.split(' ').next().unwrap_or_default();
        if WALKED.contains(&(name, index)) {
            continue;
        }
        let condition = lines.get(at + 1).copied().unwrap_or_default();
        assert!(condition.contains("Index Cond"), "{name} walks an index whole: {line}\n{plan}");
        let columns = match index {
            "tasks_pkey" => &["owner_id", "task_id"][..],
            "workers_pkey" => &["worker_id"],
            _ => ENTRANCES.iter().find(|(of, _)| *of == index).map_or(&[][..], |(_, c)| *c),
        };
        let columns = if BY_OWNER.contains(&(name, index)) { &columns[..1] } else { columns };
        // Three statements read an owner's runs; all others read one run by its key.
        let key = index == "runs_pkey" && !BY_OWNER.contains(&(name, index));
        for column in columns.iter().chain(key.then_some(&"task_id")) {
            assert!(
                condition.contains(column),
                "{name} enters {index} without {column}: {condition}\n{plan}"
            );
        }
    }
}

/// Histories of a database, as scripts that run before its plans are checked.
fn times() -> Vec<(&'static str, Vec<String>)> {
    let fill = |rows: u32, owner: &str| {
        FILL.replace("20000", &rows.to_string()).replace("1 + n % 2", owner)
    };
    // With few rows every index costs the same, whether they belong to one owner or to many.
    let few = |rows: u32, owner: &str| vec![format!("{EMPTY} {}", fill(rows, owner))];
    let emptied = |after: &[&str]| {
        [EMPTIED].iter().chain(after).map(|script| (*script).to_owned()).collect::<Vec<_>>()
    };
    vec![
        ("new", vec![EMPTY.to_owned()]),
        ("one row", few(1, "1")),
        ("three rows", few(3, "1")),
        ("three rows of three owners", few(3, "n")),
        ("five rows of two owners", few(5, "1 + n % 2")),
        ("a hundred rows", few(100, "1")),
        ("full", few(20_000, "1 + n % 2")),
        ("three rows left of many", emptied(&["vacuum", &fill(3, "1 + n % 2")])),
        ("emptied", emptied(&[])),
        ("emptied and analysed", emptied(&["vacuum", "analyze"])),
    ]
}

/// Deletes everything without updating the statistics.
const EMPTIED: &str = "delete from workers; delete from tasks; delete from task_state; delete from log; delete from runs;
delete from message_keys; delete from blobs; delete from api_keys; delete from dead_letters; delete from checkpoints;";

/// Truncates the tables; only the planner's statistics remain.
const EMPTY: &str = "truncate workers, tasks, task_state, log, runs, message_keys, blobs, api_keys, dead_letters, checkpoints;";

#[tokio::test]
async fn no_hot_statement_scans_a_table_whatever_the_statistics_say() {
    let database = migrated().await;
    for (time, scripts) in times() {
        for script in scripts {
            database.sql(&script);
        }
        let plans = plans(&database);
        eprintln!("{time}");
        assert_no_scan(&plans);
        let plan = |wanted: &str| &plans.iter().find(|(name, _)| *name == wanted).unwrap().1;
        for claim in ["claim", "find_candidates"] {
            let others = plan(claim)
                .lines()
                .filter(|line| line.contains("on runs r"))
                .filter(|line| !line.contains("runs_queue") && !line.contains("Update on"));
            let keys = usize::from(claim == "claim");
            assert_eq!(others.count(), keys, "{time}: {}", plan(claim));
        }
    }
}

#[tokio::test]
async fn every_hot_statement_uses_its_index() {
    let database = migrated().await;
    database.sql(FILL);
    let plans = plans(&database);
    let plan = |wanted: &str| &plans.iter().find(|(name, _)| *name == wanted).unwrap().1;
    for index in [
        "runs_cancel",
        "runs_queue_timeout",
        "runs_scheduled",
        "runs_held_back",
        "task_state_deadline",
    ] {
        assert!(plan("reap_scan").contains(index), "{}", plan("reap_scan"));
    }
    for (statement, index) in [
        ("promote_due_runs", "runs_scheduled"),
        ("unblock_runs", "runs_held_back"),
        ("find_held_keys", "runs_held_back"),
        ("lock_queue_timeouts", "runs_queue_timeout"),
        ("queue_depth_of_owner", "runs_queue"),
        ("find_passed_deadlines", "task_state_deadline"),
        ("list_tasks", "task_state_newest"),
        ("list_context", "tasks_conversation"),
        ("list_rare_state", "task_state_seldom"),
        ("count_rare_state", "task_state_seldom"),
        ("list_live", "runs_pkey"),
        ("count_live", "runs_pkey"),
        ("count_runs", "runs_pkey"),
        ("read_messages", "log_later_messages"),
        ("artifact_heads", "log_later_heads"),
        ("read_logs", "log_pkey"),
        ("lock_overdue_cancels", "runs_cancel"),
        ("lock_lost_runs", "runs_worker"),
        ("heartbeat", "runs_worker"),
        ("prune_dedupe_keys", "Tid Range Scan"),
        ("write_fast", "log_later_heads"),
        ("write_fast", "log_pkey"),
        ("write_changes", "log_later_heads"),
        ("write_changes", "log_pkey"),
    ] {
        assert!(plan(statement).contains(index), "{statement}: {}", plan(statement));
    }
}

/// Runs a statement; returns the number of pages it touches, and its plan.
pub fn pages(database: &Database, statement: &str, arguments: &str) -> (u32, String) {
    let text = statements::HOT.iter().find(|s| name(s) == statement).unwrap();
    let script = format!(
        "{} prepare s as {text}; explain (analyze, buffers, costs off, timing off, summary off)
         execute s({arguments})",
        session(statement)
    );
    let plan = database.sql(&script);
    let hits = plan.lines().find_map(|line| {
        let counts = line.trim().strip_prefix("Buffers: shared ")?;
        let count = |kind: &str| {
            let count = counts.split(kind).nth(1).and_then(|rest| rest.split(' ').next());
            count.map_or(0, |count| count.parse::<u32>().unwrap())
        };
        Some(count("hit=") + count("read="))
    });
    (hits.unwrap_or(0), plan)
}

/// Arguments of a claim of five runs behind an owner.
fn claim_after(owner: i32) -> String {
    format!(
        "'00000000-0000-0000-0000-000000000001', '{{echo_agent}}', '{{5}}', '{{{owner}}}', array[null::text], 5,
         array_fill(gen_random_uuid(), '{{5}}'), 5"
    )
}

/// Arguments of a limited claim behind an owner.
fn candidates_after(owner: i32) -> String {
    format!(
        "'00000000-0000-0000-0000-000000000001', '{{echo_agent}}', '{{{owner}}}', array[null::text], '{{5}}', '{{200}}',
         '{{}}', '{{}}'"
    )
}

#[tokio::test]
async fn a_claim_touches_few_pages_of_a_long_queue() {
    let database = migrated().await;
    database.sql(FILL);
    let (hits, plan) = pages(&database, "claim", &claim_after(0));
    assert!(hits < 400, "{hits}\n{plan}");
}

#[tokio::test]
async fn a_page_of_a_list_touches_few_pages_of_many_tasks() {
    let database = migrated().await;
    for state in [FILL, "truncate task_state; analyze task_state", FILL_STATES] {
        database.sql(state);
        let newest = "1, '1970-01-01', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null, null, 51, 10000";
        let (hits, plan) = pages(&database, "list_tasks", newest);
        assert!(hits < 600, "{hits}\n{plan}");
        assert!(!plan.contains("Bitmap"), "{plan}");
    }
}

/// States of the existing tasks, without an `analyze`.
const FILL_STATES: &str = "
insert into task_state select owner_id, task_id, 1 + n % 3, now() - n * interval '1 second', 0, 30, 1, 1, 0, 0, 0
    from (select owner_id, task_id, row_number() over (order by task_id) as n from tasks) t";

/// One worker, 100,000 runs of owner 1 in a stage, and one ready run of owner 2.
fn crowded(stage: u8, columns: &str) -> String {
    format!(
        "insert into workers values
            ('00000000-0000-0000-0000-000000000001', 'w', '{{echo_agent}}', now(), now() + interval '1 hour');
        insert into runs (owner_id, task_id, agent, priority, run_at, epoch, attempt, losses, handed_back, stage,
            concurrency_key)
        select 1, gen_random_uuid(), 'echo', 0, {columns}, 0, 1, 0, false, {stage}, 'k' || n % 1000
        from generate_series(1, 100000) n;
        insert into runs (owner_id, task_id, agent, priority, run_at, epoch, attempt, losses, handed_back)
        values (2, gen_random_uuid(), 'echo', 0, now(), 0, 1, 0, false);
        analyze;"
    )
}

#[tokio::test]
async fn a_claim_costs_the_same_beside_a_long_queue() {
    for (stage, columns) in
        [(0, "now() - interval '1 day'"), (1, "now() + interval '1 day'"), (2, "now()")]
    {
        let database = migrated().await;
        database.sql(&crowded(stage, columns));
        for after in [0, 1, 2] {
            let (hits, plan) = pages(&database, "claim", &claim_after(after));
            assert!(hits < 200, "{stage} {after}: {hits}\n{plan}");
            let (hits, plan) = pages(&database, "find_candidates", &candidates_after(after));
            assert!(hits < 400, "{stage} {after}: {hits}\n{plan}");
        }
        let (hits, plan) = pages(&database, "reap_scan", "10000, 1000, false");
        assert!(hits < 200, "{stage}: {hits}\n{plan}");
        let (hits, plan) = pages(&database, "find_held_keys", "'', 0, '', 500");
        assert!(hits < 4_000, "{stage}: {hits}\n{plan}");
    }
}

/// Parked tasks with this deadline.
fn parked(deadline: &str) -> String {
    format!(
        "insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch,
            op_epoch, last_op, deadline_at)
        select 1, gen_random_uuid(), 6, now(), 2, 2, 1, 1, 1, 1, 1, {deadline} from generate_series(1, 100000);
        analyze;"
    )
}

#[tokio::test]
async fn a_reap_scan_costs_the_same_beside_any_number_of_parked_tasks() {
    for deadline in ["null", "now() + interval '1 day'"] {
        let database = migrated().await;
        database.sql(&parked(deadline));
        let (hits, plan) = pages(&database, "reap_scan", "10000, 1000, true");
        assert!(hits < 200, "{deadline}: {hits}\n{plan}");
    }
}

/// 20,000 tasks of two owners, 600,000 entries, and as many rows in the other tables.
const FILL: &str = "
insert into workers values ('00000000-0000-0000-0000-000000000001', 'w', '{echo_agent}', now(), now() + interval '1 hour');
create temporary table new_task as
    select 1 + n % 2 as owner_id, gen_random_uuid() as task_id, n from generate_series(1, 20000) n;
insert into tasks select owner_id, task_id, 'echo', 'c' || n % 500, 0, now() from new_task;
insert into task_state select owner_id, task_id, 1 + n % 3, now() - n * interval '1 second', 0, 30, 1, 1, 0, 0, 0
    from new_task;
insert into log select owner_id, task_id, seq, now(), 1, case when seq = 1 then 1 else 3 end, 1, seq = 1,
    case when seq = 2 then 'a' end, '{}' from new_task, generate_series(1, 30) seq;
insert into runs select owner_id, task_id, 'echo', 0, now(), 1, w, w, 1, 0, false,
    case when n % 100 = 0 then now() end
    from (select *, case when n % 4 = 0 then gen_random_uuid() end as w from new_task) t;
insert into message_keys select owner_id, sha256(task_id::text::bytea), sha256('x'), task_id, 1, now() from new_task;
insert into blobs select owner_id, sha256(task_id::text::bytea), 'x' from new_task;
insert into api_keys select task_id::text, 1, sha256(task_id::text::bytea), '{read}', '', now() from new_task;
analyze;";
