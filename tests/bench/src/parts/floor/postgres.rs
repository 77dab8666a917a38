//! The smallest durable task in SQL: accepted, claimed, ended, each step a statement with a commit of its own.

use super::{rate, row};
use crate::{
    bench::{Bench, Commits},
    figure::{Figure, Value},
    meter::{Watch, cpu},
    stack::{self, Mode},
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

/// A task is its row, two entries of its log and a place in the queue.
const SCHEMA: &str = "
    create table task (id bigint primary key, state smallint not null, body text not null);
    create table entry (task bigint, seq integer, body text not null, primary key (task, seq));
    create table queue (task bigint primary key, holder integer) with (fillfactor = 50);";

const BODY: &str = r#"{"messageId":"00000000-0000-4000-8000-000000000000","role":"ROLE_USER","parts":[{"text":"Task 0000000001"}]}"#;

/// What happens to tasks, in this order.
const STEPS: [&str; 3] = [
    "with t as (insert into task select id, 0, $2 from unnest($1::bigint[]) id), \
     e as (insert into entry select id, 1, $2 from unnest($1::bigint[]) id) \
     insert into queue select id, null from unnest($1::bigint[]) id where $2::text is not null",
    "update queue set holder = 1 where task = any($1) and $2::text is not null",
    "with e as (insert into entry select id, 2, $2 from unnest($1::bigint[]) id), \
     t as (update task set state = 2 where id = any($1)) \
     delete from queue where task = any($1) and $2::text is not null",
];

/// Connections of those that do not work alone.
const MANY: usize = 16;

/// Measures commits of tasks, alone and shared, over one connection and over many.
pub async fn run(bench: &Bench, time: Duration) -> Vec<Figure> {
    let server = stack::postgres(&bench.plan(Mode::Distributed));
    let database = Database::create_on(&server);
    database.sql(SCHEMA);
    let floor = Floor {
        watch: Watch::connect(&database.url()).await,
        server: server.pid(),
        next: Arc::new(AtomicI64::new(1)),
        database,
        time,
    };
    let each = floor.measure("Postgres: a task in three commits", 1, 1).await;
    let many = floor.measure("Postgres: tasks in three commits, 16 connections", MANY, 1).await;
    let shared = floor.measure("Postgres: tasks, three commits for 100", 1, 100).await;
    let both = floor.measure("Postgres: tasks, three commits for 100, 4 connections", 4, 100).await;
    bench.note_floor(Mode::Distributed, Commits::Each, rate(&each));
    bench.note_floor(Mode::Distributed, Commits::Shared, rate(&shared).max(rate(&both)));
    vec![each, many, shared, both]
}

struct Floor {
    watch: Watch,
    server: u32,
    next: Arc<AtomicI64>,
    database: Database,
    time: Duration,
}

impl Floor {
    async fn measure(&self, what: &str, connections: usize, batch: i64) -> Figure {
        let clients = join_all((0..connections).map(|_| Lane::open(self, batch))).await;
        // Full images of pages come once after a checkpoint; none of the measurements is to have more of them than another.
        self.database.sql("checkpoint");
        let (written, used) = (self.watch.written().await, cpu::tree_seconds(self.server));
        let begun = Instant::now();
        let lanes = join_all(clients.into_iter().map(|lane| lane.run(begun + self.time))).await;
        let wall = begun.elapsed();
        let (now, used) = (self.watch.written().await, cpu::tree_seconds(self.server) - used);
        let mut times: Vec<Duration> = lanes.into_iter().flatten().collect();
        let each = usize::try_from(batch).unwrap_or(1);
        let tasks = count((times.len() * each).max(1));
        let mut figure = row(what.to_owned(), "tasks/s", &mut times, wall, each);
        #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
        let share = |n: i64| n as f64 / tasks;
        figure.values.extend([
            Value::less("WAL", share(now.wal - written.wal), "B"),
            Value::less("writes", share(now.writes - written.writes), ""),
            Value::less("CPU pg", used / tasks * 1e3, "s/1k"),
        ]);
        figure
    }
}

/// One connection.
struct Lane {
    client: Client,
    steps: Vec<Statement>,
    next: Arc<AtomicI64>,
    batch: i64,
}

impl Lane {
    async fn open(floor: &Floor, batch: i64) -> Self {
        let connected = tokio_postgres::connect(&floor.database.url(), NoTls).await;
        let (client, connection) = connected.expect("the private Postgres answers");
        // Ends with its client.
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
