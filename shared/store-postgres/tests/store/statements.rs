//! Every statement fits the schema, and no hot one reads a table whole, empty or full, under generic plans.

use longhaul_store_postgres::{PostgresStore, statements};
use longhaul_tests::Database;
use std::{fmt::Write, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

/// What every session of the store sets and plans depend on.
const SESSION: &str =
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off;
set enable_mergejoin = off; set jit = off; set max_parallel_workers_per_gather = 0;";

async fn migrated() -> Database {
    let database = Database::create();
    PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
    database
}

fn name(statement: &str) -> &str {
    statement.lines().next().and_then(|line| line.strip_prefix("-- store::")).unwrap()
}

#[tokio::test]
async fn every_statement_has_a_name_of_its_own_and_can_be_prepared() {
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

/// The arguments of a statement, all null.
fn nulls(statement: &str) -> String {
    let highest = (1..60).filter(|n| statement.contains(&format!("${n}"))).max();
    let nulls = vec!["null"; highest.unwrap_or(0)].join(", ");
    if nulls.is_empty() { String::new() } else { format!("({nulls})") }
}

/// A migration may add columns while processes run that have prepared their statements before.
#[tokio::test]
async fn a_new_column_of_any_table_breaks_no_prepared_statement() {
    let database = migrated().await;
    let mut script = String::new();
    let all: Vec<&str> = statements::HOT.into_iter().chain(statements::COLD).collect();
    for statement in &all {
        writeln!(script, "prepare {} as {statement};", name(statement)).unwrap();
    }
    let tables = database.sql("select tablename from pg_tables where schemaname = 'public'");
    for table in tables.lines() {
        writeln!(script, "alter table {table} add column of_later text;").unwrap();
    }
    for statement in &all {
        writeln!(script, "explain execute {}{};", name(statement), nulls(statement)).unwrap();
    }
    assert!(tables.lines().count() > 8, "{tables}");
    database.sql(&script);
}

/// The plan of each hot statement, made without looking at its values.
fn plans(database: &Database) -> Vec<(&'static str, String)> {
    let explain = |statement: &&'static str| {
        let arguments = nulls(statement);
        let script =
            format!("{SESSION} prepare s as {statement}; explain (costs off) execute s{arguments}");
        (name(statement), database.sql(&script))
    };
    statements::HOT.iter().map(explain).collect()
}

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
            assert!(!reads, "{name} reads {table} whole:\n{plan}");
        }
        assert_every_walk_is_bounded(name, plan);
        assert!(!plan.contains("Hash Join") && !plan.contains("Merge Join"), "{name}:\n{plan}");
    }
}

/// An index is entered at a place, not walked from its start. The runs that somebody holds are an index of their own,
/// which a reaper walks.
fn assert_every_walk_is_bounded(name: &str, plan: &str) {
    let lines: Vec<&str> = plan.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let walk = line.contains("Index Scan") || line.contains("Index Only Scan");
        if walk && !(name == "lost_runs" && line.contains("runs_worker")) {
            let next = lines.get(at + 1).copied().unwrap_or_default();
            assert!(next.contains("Index Cond"), "{name} walks an index whole: {line}\n{plan}");
        }
    }
}

#[tokio::test]
async fn no_hot_statement_reads_a_table_whole() {
    let database = migrated().await;
    assert_no_scan(&plans(&database));

    database.sql(FILL);
    let plans = plans(&database);
    assert_no_scan(&plans);
    let plan = |wanted: &str| &plans.iter().find(|(name, _)| *name == wanted).unwrap().1;
    assert!(plan("claim").contains("runs_ready"), "{}", plan("claim"));
    assert!(plan("list_tasks").contains("task_state_list"), "{}", plan("list_tasks"));
    assert!(plan("list_context").contains("tasks_context"), "{}", plan("list_context"));
    assert!(plan("messages").contains("log_messages"), "{}", plan("messages"));
    assert!(plan("artifact_heads").contains("log_heads"), "{}", plan("artifact_heads"));
    assert!(plan("read_logs").contains("log_pkey"), "{}", plan("read_logs"));
    assert!(plan("overdue_cancels").contains("runs_cancel"), "{}", plan("overdue_cancels"));
    assert!(plan("lost_runs").contains("runs_worker"), "{}", plan("lost_runs"));
    assert!(plan("prune_keys").contains("message_keys_age"), "{}", plan("prune_keys"));
}

#[tokio::test]
async fn a_claim_touches_few_pages_of_a_long_queue() {
    let database = migrated().await;
    database.sql(FILL);
    let script = format!(
        "{SESSION} prepare s as {}; explain (analyze, buffers, costs off, timing off, summary off)
         execute s('00000000-0000-0000-0000-000000000001', '{{echo}}', '{{5}}', 5,
         array_fill(gen_random_uuid(), '{{5}}'))",
        statements::HOT.iter().find(|s| name(s) == "claim").unwrap()
    );
    let plan = database.sql(&script);
    let hits = plan.lines().find_map(|line| {
        line.trim().strip_prefix("Buffers: shared hit=")?.split(' ').next()?.parse::<u32>().ok()
    });
    assert!(hits.is_some_and(|hits| hits < 300), "{plan}");
}

/// 20,000 tasks of two owners, 600,000 entries, and as many of everything else.
const FILL: &str = "
insert into workers values ('00000000-0000-0000-0000-000000000001', 'w', '{echo}', now(), now() + interval '1 hour');
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
