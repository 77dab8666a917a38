//! Minimal SQL for a durable task: accepted, claimed, ended, with one statement and commit per
//! step.

use super::row::{rate, row};
use crate::{
    bench::{Bench, CommitSharing},
    figure::{Figure, FigureValue},
    meter::{PostgresProbe, cpu},
    stack::{self, StackMode},
    stats::count,
};
use futures::future::join_all;
use longhaul_tests::Database;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_postgres::{Client, NoTls, Statement};

/// Tables of a task: its row, two log entries and a queue entry.
const SCHEMA: &str = "
    create table task (id bigint primary key, state smallint not null, body text not null);
    create table entry (task bigint, seq integer, body text not null, primary key (task, seq));
    create table queue (task bigint primary key, holder integer) with (fillfactor = 50);";

const BODY: &str = r#"{"messageId":"00000000-0000-4000-8000-000000000000","role":"ROLE_USER","parts":[{"text":"Task 0000000001"}]}"#;

/// Steps of a task, in order.
const STEPS: [&str; 3] = [
    "with t as (insert into task select id, 0, $2 from unnest($1::bigint[]) id), \
     e as (insert into entry select id, 1, $2 from unnest($1::bigint[]) id) \
     insert into queue select id, null from unnest($1::bigint[]) id where $2::text is not null",
    "update queue set holder = 1 where task = any($1) and $2::text is not null",
    "with e as (insert into entry select id, 2, $2 from unnest($1::bigint[]) id), \
     t as (update task set state = 2 where id = any($1)) \
     delete from queue where task = any($1) and $2::text is not null",
];

/// Connections of the concurrent row.
const CONCURRENT_CONNECTIONS: usize = 16;

/// Measures task commits, single and shared, over one connection and over many.
pub async fn run(bench: &Bench, time: Duration) -> Vec<Figure> {
    let server = stack::start_postgres(&bench.plan(StackMode::Distributed));
    let database = Database::create_on(&server);
    database.sql(SCHEMA);
    let floor = PostgresFloor {
        probe: PostgresProbe::connect(&database.url()).await,
        server_pid: server.pid(),
        next: Arc::new(AtomicI64::new(1)),
        database,
        time,
    };
    let each = floor.measure("Postgres: a task in three commits", 1, 1).await;
    let many = floor
        .measure("Postgres: tasks in three commits, 16 connections", CONCURRENT_CONNECTIONS, 1)
        .await;
    let shared = floor.measure("Postgres: tasks, three commits for 100", 1, 100).await;
    let both = floor.measure("Postgres: tasks, three commits for 100, 4 connections", 4, 100).await;
    bench.record_floor(StackMode::Distributed, CommitSharing::Each, rate(&each));
    bench.record_floor(
        StackMode::Distributed,
        CommitSharing::Shared,
        rate(&shared).max(rate(&both)),
    );
    vec![each, many, shared, both]
}

struct PostgresFloor {
    probe: PostgresProbe,
    server_pid: u32,
    next: Arc<AtomicI64>,
    database: Database,
    time: Duration,
}

impl PostgresFloor {
    async fn measure(&self, what: &str, connections: usize, batch: i64) -> Figure {
        let clients = join_all((0..connections).map(|_| FloorClient::open(self, batch))).await;
        // Full page images follow a checkpoint: each measurement gets its share of them.
        self.database.sql("checkpoint");
        let (written, used) = (self.probe.written().await, cpu::tree_seconds(self.server_pid));
        let begun = Instant::now();
        let lanes = join_all(clients.into_iter().map(|lane| lane.run(begun + self.time))).await;
        let wall = begun.elapsed();
        let (now, used) = (self.probe.written().await, cpu::tree_seconds(self.server_pid) - used);
        let mut times: Vec<Duration> = lanes.into_iter().flatten().collect();
        let each = usize::try_from(batch).unwrap_or(1);
        let tasks = count((times.len() * each).max(1));
        let mut figure = row(what.to_owned(), "tasks/s", &mut times, wall, each);
        #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
        let share = |n: i64| n as f64 / tasks;
        figure.values.extend([
            FigureValue::less("WAL", share(now.wal - written.wal), "B"),
            FigureValue::less("writes", share(now.writes - written.writes), ""),
            FigureValue::less("CPU pg", used / tasks * 1e3, "s/1k"),
        ]);
        figure
    }
}

/// One client connection.
struct FloorClient {
    client: Client,
    steps: Vec<Statement>,
    next: Arc<AtomicI64>,
    batch: i64,
}

impl FloorClient {
    async fn open(floor: &PostgresFloor, batch: i64) -> Self {
        let connected = tokio_postgres::connect(&floor.database.url(), NoTls).await;
        let (client, connection) = connected.expect("the private Postgres answers");
        // It ends with its client.
        tokio::spawn(connection);
        let mut steps = Vec::new();
        for step in STEPS {
            steps.push(client.prepare(step).await.expect("the statement is right"));
        }
        Self { client, steps, next: Arc::clone(&floor.next), batch }
    }

    async fn run(self, until: Instant) -> Vec<Duration> {
        let mut times = Vec::new();
        while Instant::now() < until {
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            let ids: Vec<i64> = (first..first + self.batch).collect();
            let begun = Instant::now();
            for step in &self.steps {
                let done = self.client.execute(step, &[&ids, &BODY]).await;
                done.expect("the statement is right");
            }
            times.push(begun.elapsed());
        }
        times
    }
}
