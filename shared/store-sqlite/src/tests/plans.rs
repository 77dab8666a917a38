//! Query plans: statements find their rows by an index, however large the tables are.

use crate::{
    db, queue,
    read::run_details,
    schema,
    work::{claim, due_work},
};
use rusqlite::{Connection, StatementStatus};

/// Tables with few rows that may be read whole (`k` and `o` are keys and owners).
const SMALL_TABLES: [&str; 9] = [
    "workers",
    "agents",
    "api_keys",
    "k",
    "o",
    "owners",
    "schedules",
    "schema_migrations",
    "sqlite_schema",
];

/// Returns whether a statement counts every run, as operators' views of all queues do; a covering
/// index serves it.
fn counts_every_run(sql: &str) -> bool {
    sql.starts_with("-- store::queues")
}

/// Returns the table that a step of a plan reads whole; subqueries do not count.
fn read_whole(step: &str) -> Option<&str> {
    let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
    table.filter(|table| !table.starts_with('(') && *table != "CONSTANT")
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Parameters stay unbound: the plan does not depend on them.
    let rows = statement.raw_query().mapped(|row| row.get::<_, String>("detail"));
    rows.map(Result::unwrap).collect()
}

fn migrated() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    schema::migrate(&conn, 0).unwrap();
    conn
}

#[test]
fn no_statement_reads_a_large_table_whole() {
    let conn = migrated();
    for (name, sql) in schema::every_statement() {
        let plan = plan(&conn, sql);
        if counts_every_run(sql) {
            assert!(plan.iter().any(|step| step.contains("USING COVERING INDEX")), "{plan:?}");
            continue;
        }
        let large =
            plan.iter().filter_map(|step| read_whole(step)).find(|t| !SMALL_TABLES.contains(t));
        assert_eq!(large, None, "{name}: {plan:?}\n{sql}");
        let all_of_owner =
            plan.iter().any(|step| step.ends_with("(owner_id=?)") && !step.contains(" schedules "));
        assert!(!all_of_owner, "{name}: {plan:?}\n{sql}");
    }
}

#[test]
fn pages_claims_and_messages_are_read_in_index_order() {
    let conn = migrated();
    for (name, sql) in schema::every_statement() {
        // The tasks of one context and the runs of one worker are few enough to sort.
        let few = sql.contains("t.context_id = :context") || sql.contains("WHERE worker = ?1");
        if sql.contains("ORDER BY") && !few {
            let plan = plan(&conn, sql);
            let small = plan.iter().any(|step| read_whole(step).is_some());
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(small || !sorts, "{name}: {plan:?}\n{sql}");
        }
    }
}

#[test]
fn statements_are_prepared_once_whatever_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longhaul.db");
    let writer = db::open_writer(&file).unwrap();
    schema::migrate(&writer, 0).unwrap();
    let reader = db::open_reader(&file).unwrap();
    for (name, sql) in schema::every_statement() {
        for conn in [&writer, &reader] {
            let mut statement = conn.prepare(sql).unwrap();
            for value in [1, 2] {
                for place in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(place, value).unwrap();
                }
                // The result for these values, or a refusal, does not matter.
                let _ = statement.raw_query().next();
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{name}");
        }
    }
}

/// Returns the steps of a statement's plan.
fn steps(sql: &str) -> Vec<String> {
    plan(&migrated(), sql)
}

/// A claim takes one step for each owner and one for the first run of each; it never scans an
/// owner's queue.
#[test]
fn the_next_owner_is_found_without_scanning_queues() {
    let owner = steps(claim::NEXT_OWNER);
    assert_eq!(
        owner,
        ["SEARCH runs USING COVERING INDEX runs_queued (agent=? AND stage=? AND owner_id>?)"]
    );
    let first = steps(claim::FIRST);
    let by_place = "SEARCH runs USING INDEX runs_queued (agent=? AND stage=? AND owner_id=?)";
    assert_eq!(first[0], by_place, "{first:?}");
    assert!(!first.iter().any(|step| step.contains("TEMP B-TREE")), "{first:?}");
}

/// A search that finds nothing due reads the first row of a few indexes.
#[test]
fn a_search_reads_the_ends_of_indexes() {
    let steps = steps(due_work::TIMES);
    for index in ["runs_canceled", "runs_queue_until", "runs_scheduled", "task_state_deadline"] {
        assert!(steps.iter().any(|step| step.contains(index)), "{index}: {steps:?}");
    }
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
}

#[test]
fn runs_are_counted_and_released_by_their_index() {
    for (sql, by) in [
        (run_details::DEPTH, "COVERING INDEX runs_queued (agent=?)"),
        (
            run_details::DEPTH_OF_OWNER,
            "COVERING INDEX runs_queued (agent=? AND stage=? AND owner_id=?)",
        ),
        (
            queue::RUNNING_OF_KEY,
            "COVERING INDEX runs_running (agent=? AND owner_id=? AND concurrency_key=? AND worker>?)",
        ),
        (queue::FIRST_HELD_BACK, "runs_held_back (agent=? AND owner_id=? AND concurrency_key=?)"),
        (queue::NEXT_KEY, "runs_held_back ((agent,owner_id,concurrency_key)>(?,?,?))"),
    ] {
        let steps = steps(sql);
        assert!(steps.iter().any(|step| step.ends_with(by)), "{steps:?}");
    }
}
