//! Commits of SQLite with `synchronous=FULL` from one thread: single rows, and minimal durable
//! tasks.

use super::row::{rate, row};
use crate::{
    bench::{Bench, CommitSharing},
    figure::Figure,
    stack::StackMode,
};
use rusqlite::{Connection, Transaction};
use std::time::{Duration, Instant};

/// Tables of a task: its row, two log entries and a queue entry.
const SCHEMA: &str = "
    pragma journal_mode = wal;
    pragma synchronous = full;
    create table item (id integer primary key, body text not null);
    create table task (id integer primary key, state integer not null, body text not null);
    create table entry (task integer not null, seq integer not null, body text not null, primary key (task, seq)) without rowid;
    create table queue (task integer primary key);";

const BODY: &str = r#"{"messageId":"00000000-0000-4000-8000-000000000000","role":"ROLE_USER","parts":[{"text":"Task 0000000001"}]}"#;

/// Tasks or rows per shared commit.
const TASKS_PER_COMMIT: i64 = 100;

type Step = fn(&Transaction<'_>, i64) -> rusqlite::Result<()>;

/// Measures commits of rows and tasks, single and shared.
pub fn run(bench: &Bench, time: Duration) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut database =
        Connection::open(folder.path().join("floor.db")).expect("our folder is writable");
    database.execute_batch(SCHEMA).expect("the schema is right");
    // No other process can claim these tasks, so a claim needs no commit of its own.
    let tasks: [Step; 2] = [accept, end];
    let one = measure(&mut database, "SQLite: one row, a commit", time, 1, &[item]);
    let many = measure(&mut database, "SQLite: 100 rows a commit", time, TASKS_PER_COMMIT, &[item]);
    let each = measure(&mut database, "SQLite: a task in two commits", time, 1, &tasks);
    let shared = measure(
        &mut database,
        "SQLite: tasks, two commits for 100",
        time,
        TASKS_PER_COMMIT,
        &tasks,
    );
    bench.record_floor(StackMode::Embedded, CommitSharing::Each, rate(&each));
    bench.record_floor(StackMode::Embedded, CommitSharing::Shared, rate(&shared));
    vec![one, many, each, shared]
}

fn measure(
    database: &mut Connection,
    what: &str,
    time: Duration,
    batch: i64,
    steps: &[Step],
) -> Figure {
    let last = |table: &str| format!("select coalesce(max(id), 0) from {table}");
    let count = |table: &str| database.query_row(&last(table), (), |row| row.get::<_, i64>(0));
    let mut next =
        count("item").and_then(|a| Ok(a.max(count("task")?))).expect("the table can be read") + 1;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let start = Instant::now();
        for step in steps {
            let transaction = database.transaction().expect("no other connection writes");
            for id in next..next + batch {
                step(&transaction, id).expect("the statement is right");
            }
            transaction.commit().expect("the disk takes it");
        }
        next += batch;
        times.push(start.elapsed());
    }
    let each = usize::try_from(batch).unwrap_or(1);
    let unit = if steps.len() == 1 { "rows/s" } else { "tasks/s" };
    row(what.to_owned(), unit, &mut times, begun.elapsed(), each)
}

fn item(on: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    execute(on, "insert into item values (?1, ?2)", (id, BODY))
}

fn accept(on: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    execute(on, "insert into task values (?1, 0, ?2)", (id, BODY))?;
    execute(on, "insert into entry values (?1, 1, ?2)", (id, BODY))?;
    execute(on, "insert into queue values (?1)", (id,))
}

fn end(on: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    execute(on, "insert into entry values (?1, 2, ?2)", (id, BODY))?;
    execute(on, "update task set state = 2 where id = ?1", (id,))?;
    execute(on, "delete from queue where task = ?1", (id,))
}

fn execute(on: &Transaction<'_>, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
    on.prepare_cached(sql)?.execute(values).map(|_| ())
}
