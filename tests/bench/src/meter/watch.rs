//! A connection to Postgres that counts what a stack writes. Counting takes one small query.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_postgres::{AsyncMessage, Client, NoTls, Row};

/// How long an idle session may keep its counts of transactions to itself, and a little more.
pub const SETTLING: Duration = Duration::from_millis(10_500);

/// Number of channels that log notifications are spread over; further ones are not counted until they are named here.
const LOG_CHANNELS: u16 = 1_024;

/// What has been written at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of WAL.
    pub wal: i64,
    /// Transactions that wrote: those that were given an id.
    pub writes: i64,
}

/// The connection.
pub struct Watch {
    client: Client,
    notified: Arc<AtomicU64>,
}

impl Watch {
    /// Connects; panics when that fails.
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

    /// What has been written until now.
    pub async fn written(&self) -> Written {
        let row = self.row(
            "select (pg_current_wal_insert_lsn() - '0/0')::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        );
        let row = row.await;
        Written { wal: row.get(0), writes: row.get(1) }
    }

    /// Transactions committed until now, reading ones too. Sessions tell with a delay: exact only when nothing but idling
    /// happened for [`SETTLING`].
    pub async fn commits(&self) -> i64 {
        self.row("select xact_commit from pg_stat_database where datname = current_database()")
            .await
            .get(0)
    }

    /// Begins to listen to the channels of the store.
    pub async fn listen(&self) {
        let logs = (0..LOG_CHANNELS).map(|number| format!("listen longhaul_log_{number:03x};"));
        let listen: String = logs.chain(["listen longhaul_control".to_owned()]).collect();
        self.client.batch_execute(&listen).await.expect("the private Postgres answers");
    }

    /// Ends listening.
    pub async fn unlisten(&self) {
        self.client.batch_execute("unlisten *").await.expect("the private Postgres answers");
    }

    /// Notifications heard so far.
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
