//! Sends what waits, all together, one statement at a time, on a connection whose commits do not wait for the disk.
//!
//! Stopping sends once more: what the last writes of this process told, such as that it gave its runs back, must not wait
//! until the others look by themselves. A crash loses what waits.

use super::{Hub, payload};
use crate::{
    failure::{DbResult, Failure},
    kept::Kept,
};
use longhaul_runtime::Backoff;
use sqlx_core::query::query;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Sends any number of notifications.
pub const NOTIFY_MANY: &str = "-- store::notify
select count(pg_notify(channel, payload)) from unnest($1::text[], $2::text[]) as n (channel, payload)";

/// After this many failures in a row what waits is given up: readers look by themselves from time to time.
const TRIES: u32 = 5;

/// How long one try may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long the last try may take, for which a process that ends waits.
const LAST: Duration = Duration::from_secs(1);

type Payloads = Vec<(String, String)>;

/// Sends until stopped, and then once more what waits.
pub async fn notify(hub: Arc<Hub>, pool: Kept, stop: CancellationToken) {
    let mut unsent = Payloads::new();
    while stop.run_until_cancelled(hub.wake.notified()).await.is_some() {
        let payloads = take(&hub);
        if stop.run_until_cancelled(send(&pool, &payloads)).await.is_none() {
            // Whether they have left is not known; hearing them twice does no harm.
            unsent = payloads;
            break;
        }
    }
    unsent.extend(take(&hub));
    if let Err(failure) = try_to_send(&pool, &unsent, LAST).await {
        tracing::warn!(?failure, "the last notifications could not be sent");
    }
}

fn take(hub: &Hub) -> Payloads {
    payload::encode(hub.sender, &std::mem::take(&mut *hub.waiting()))
}

async fn send(pool: &Kept, payloads: &Payloads) {
    for attempt in 0..TRIES {
        let Err(failure) = try_to_send(pool, payloads, LIMIT).await else { return };
        tracing::debug!(?failure, attempt, "a notification could not be sent");
        sleep(Backoff::DATABASE.random_delay(attempt)).await;
    }
    tracing::warn!("notifications are given up; readers on other nodes will look by themselves");
}

async fn try_to_send(pool: &Kept, payloads: &Payloads, limit: Duration) -> DbResult<()> {
    if payloads.is_empty() {
        return Ok(());
    }
    let (channels, texts): (Vec<&str>, Vec<&str>) =
        payloads.iter().map(|(channel, text)| (channel.as_str(), text.as_str())).unzip();
    let sending = async {
        let mut connection = pool.acquire().await?;
        query(NOTIFY_MANY).bind(channels).bind(texts).execute(&mut *connection).await?;
        connection.done();
        Ok(())
    };
    let sent = timeout(limit, sending).await;
    sent.unwrap_or_else(|_| Err(Failure::Lost("no answer".to_owned())))
}
