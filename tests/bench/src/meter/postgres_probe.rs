//! A connection to Postgres that reads write counters with one small query.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_postgres::{AsyncMessage, Client, NoTls, Row};

/// Time after which even idle sessions have reported their transaction counts, with a margin.
pub const STATS_DELAY: Duration = Duration::from_millis(10_500);

/// Number of channels over which log notifications are spread. Notifications on others are not
/// counted.
const LOG_CHANNELS: u16 = 1_024;

/// Write counters at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCounters {
    /// Bytes of WAL.
    pub wal: i64,
    /// Writing transactions: those with a transaction id.
    pub writes: i64,
}

/// A connection that reads counters.
pub struct PostgresProbe {
    client: Client,
    notified: Arc<AtomicU64>,
}

impl PostgresProbe {
    /// Connects. Panics when that fails.
    pub async fn connect(url: &str) -> Self {
        let (client, mut connection) =
            tokio_postgres::connect(url, NoTls).await.expect("the private Postgres answers");
        let notified = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&notified);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if matches!(message, AsyncMessage::Notification(_)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { client, notified }
    }

    /// The current write counters.
    pub async fn written(&self) -> WriteCounters {
        let row = self.row(
            "select (pg_current_wal_insert_lsn() - '0/0')::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        );
        let row = row.await;
        WriteCounters { wal: row.get(0), writes: row.get(1) }
    }

    /// Transactions committed so far, including read-only ones. Sessions report with a delay: exact
    /// only after [`STATS_DELAY`] without load.
    pub async fn commits(&self) -> i64 {
        self.row("select xact_commit from pg_stat_database where datname = current_database()")
            .await
            .get(0)
    }

    /// Listens to the channels of the store.
    pub async fn listen(&self) {
        let logs = (0..LOG_CHANNELS).map(|number| format!("listen longhaul_log_{number:03x};"));
        let listen: String = logs.chain(["listen longhaul_control".to_owned()]).collect();
        self.client.batch_execute(&listen).await.expect("the private Postgres answers");
    }

    /// Stops listening.
    pub async fn unlisten(&self) {
        self.client.batch_execute("unlisten *").await.expect("the private Postgres answers");
    }

    /// Notifications received so far.
    pub fn notified(&self) -> u64 {
        self.notified.load(Ordering::Relaxed)
    }

    /// The rows of a query.
    pub async fn rows(&self, sql: &str) -> Vec<Row> {
        let rows = self.client.query(sql, &[]).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn row(&self, sql: &str) -> Row {
        self.rows(sql).await.remove(0)
    }
}
