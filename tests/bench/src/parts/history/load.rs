//! Loads the tasks into the tables by SQL.
//!
//! Indexes are dropped and rebuilt after the rows, as in a restore. The long tasks come last, row
//! by row.

use super::distribution::TaskDistribution;
use crate::stack::BenchStack;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Cost of the load.
#[derive(Debug, Clone, Copy)]
pub struct LoadResult {
    /// Total time, including vacuum and statistics.
    pub took: Duration,
    /// Size of database and WAL on disk.
    pub gigabytes: f64,
}

/// Tables and the statements that fill them, concurrently with the log.
const STATES: [(&str, &str); 3] = [
    (
        "tasks",
        "insert into tasks (owner_id, task_id, agent, context_id, priority, created_at)
        select bench_owner(i), bench_task(i), bench_agent(i), bench_context(i), 0, bench_at(i) from numbers",
    ),
    (
        "task_state",
        "insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch,
            last_op, settle_token)
        select bench_owner(i), bench_task(i), bench_state(i), bench_at(i), bench_seqs(i), bench_seqs(i), 1, 1, 1, 1, 1,
            md5(i::text)::uuid
        from numbers",
    ),
    (
        "message_keys",
        "insert into message_keys (owner_id, key, content, task_id, seq, at)
        select bench_owner(i), sha256(i::text::bytea), sha256(i::text::bytea), bench_task(i), 1, bench_at(i)
        from numbers where bench_at(i) > now() - interval '24 hours'",
    ),
];

/// The log: a message, for one task in five an artifact, and the end.
const LOG: [(&str, &str); 1] = [(
    "log",
    r#"insert into log (owner_id, task_id, seq, at, attempt, kind, speaks, head, body)
        select n.owner, n.task, e.seq, n.at, case e.kind when 1 then 0 else 1 end, e.kind, e.kind = 1,
            case e.kind when 3 then 'artifact-1' end,
            (case e.kind
                when 1 then '{"message":{"messageId":"' || md5(i::text)::uuid || '","contextId":"' || bench_context(i)
                    || '","taskId":"' || n.task || '","role":"user","parts":[{"text":"Task ' || i || '"}]}}'
                when 3 then '{"artifact":{"artifactId":"artifact-1","parts":[{"text":"Task ' || i || '"}]},"lastChunk":true}'
                else '{"state":"' || task_state_name(bench_state(i)) || '"}'
            end)::json
        from numbers, lateral (
            select bench_owner(i) as owner, bench_task(i) as task, bench_at(i) as at, bench_seqs(i) as last offset 0
        ) n, lateral (
            values (1::int8, 1::int2), (2, case n.last when 3 then 3 else 2 end), (3, 2)
        ) e (seq, kind)
        where e.seq <= n.last"#,
)];

/// Loads all tasks.
pub async fn load(stack: &BenchStack, distribution: TaskDistribution, events: usize) -> LoadResult {
    let begun = Instant::now();
    let (one, two) = (connect(stack).await, connect(stack).await);
    run(&one, &distribution.functions()).await;
    tokio::join!(fill(&one, &STATES, distribution.tasks), fill(&two, &LOG, distribution.tasks));
    run(&one, &long_tasks(distribution, events)).await;
    let vacuum = async |client: &Client, table: &str| {
        run(client, &format!("vacuum (analyze) {table}")).await;
    };
    tokio::join!(
        async {
            for (table, _) in STATES {
                vacuum(&one, table).await;
            }
        },
        vacuum(&two, "log"),
    );
    run(&one, "checkpoint").await;
    let took = begun.elapsed();
    let size = "select (pg_database_size(current_database()) + (select sum(size) from pg_ls_waldir()))::float8 / 1e9";
    let gigabytes = one.query_one(size, &[]).await.expect("the size is known").get(0);
    LoadResult { took, gigabytes }
}

async fn connect(stack: &BenchStack) -> Client {
    let database = stack.database.as_ref().expect("a distributed stack has a database");
    let (client, connection) =
        tokio_postgres::connect(&database.url(), NoTls).await.expect("Postgres answers");
    tokio::spawn(async move {
        // The connection ends with its client.
        let _ = connection.await;
    });
    run(&client, "set synchronous_commit = off; set jit = off").await;
    client
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| {
        let cause = error.as_db_error().map(ToString::to_string).unwrap_or_default();
        panic!("{error} {cause}: {sql}")
    });
}

/// Truncates and fills tables, each in one transaction, with indexes last.
async fn fill(client: &Client, tables: &[(&str, &str)], tasks: usize) {
    for (table, insert) in tables {
        let (drop, create) = indexes(client, table).await;
        let filled = format!(
            "begin; truncate {table}; {drop};
            with numbers as (select i from generate_series(1::int8, {tasks}) i) {insert};
            {create}; commit"
        );
        run(client, &filled).await;
    }
}

/// Statements that drop a table's indexes, and that rebuild them.
async fn indexes(client: &Client, table: &str) -> (String, String) {
    let rows = client
        .query(
            "select coalesce(
                'alter table ' || x.indrelid::regclass || ' drop constraint ' || quote_ident(c.conname),
                'drop index ' || x.indexrelid::regclass
            ), coalesce(
                'alter table ' || x.indrelid::regclass || ' add constraint ' || quote_ident(c.conname) || ' '
                    || pg_get_constraintdef(c.oid),
                pg_get_indexdef(x.indexrelid)
            )
            from pg_index x left join pg_constraint c on c.conindid = x.indexrelid and c.conrelid = x.indrelid
            where x.indrelid = to_regclass($1::text)
            order by x.indexrelid",
            &[&table],
        )
        .await
        .expect("the catalogue can be read");
    let all = |column: usize| {
        rows.iter().map(|row| row.get::<_, String>(column)).collect::<Vec<_>>().join("; ")
    };
    (all(0), all(1))
}

/// Two parked tasks with this number of entries: chunks of an artifact, and messages.
fn long_tasks(distribution: TaskDistribution, events: usize) -> String {
    let message = |number: usize, text: &str| {
        format!(
            r#"'{{"messageId":"' || md5('m' || seq)::uuid || '","contextId":"long","taskId":"' || bench_task({number}) || '","role":"agent","parts":[{{"text":"{text}"}}]}}'"#
        )
    };
    let chunk = r#"'{"artifact":{"artifactId":"artifact-1","parts":[{"text":"word ' || seq || ' of many "}]}' || case when seq > 2 then ',"append":true}' else '}' end"#;
    let one = |number: usize, kind: u8, body: &str, speaks: bool| {
        let asked = message(number, "what next?");
        let said = asked.replace("agent", "user");
        format!(
            r#"insert into tasks (owner_id, task_id, agent, context_id, priority, created_at)
            values (1, bench_task({number}), 'script', 'long', 0, bench_at({number}));
            insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch, last_op)
            values (1, bench_task({number}), 6, bench_at({number}), {events}, {events}, 1, 1, 1, 1, 1);
            insert into log (owner_id, task_id, seq, at, attempt, kind, speaks, head, body)
            select 1, bench_task({number}), seq, bench_at({number}), case seq when 1 then 0 else 1 end,
                case seq when 1 then 1 when {events} then 2 else {kind} end,
                seq in (1, {events}) or {speaks}, case when {kind} = 3 and seq = 2 then 'artifact-1' end,
                (case seq when 1 then '{{"message":' || {said} || '}}'
                    when {events} then '{{"state":"input-required","message":' || {asked} || '}}'
                    else {body} end)::json
            from generate_series(1, {events}) seq;"#
        )
    };
    let (chunks, messages) = (distribution.tasks + 1, distribution.tasks + 2);
    let step =
        format!(r#"'{{"state":"working","message":' || {} || '}}'"#, message(messages, "step"));
    one(chunks, 3, chunk, false) + &one(messages, 2, &step, true)
}
