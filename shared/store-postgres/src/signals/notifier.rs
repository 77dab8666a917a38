//! Sends pending signals in batches, one statement at a time, on a connection whose commits do not
//! wait for the disk.
//!
//! On stop it sends once more: the last writes, such as the release of runs, must not wait until
//! other processes poll. A crash loses pending signals.

use super::{hub::SignalHub, payload};
use crate::{
    connection_cache::ConnectionCache,
    error::{DbError, DbResult},
};
use longhaul_runtime::Backoff;
use sqlx_core::query::query;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Sends any number of notifications.
pub const NOTIFY_MANY: &str = "-- store::notify_many
select count(pg_notify(channel, payload)) from unnest($1::text[], $2::text[]) as n (channel, payload)";

/// Failures in a row after which pending signals are dropped. Readers poll from time to time.
const MAX_NOTIFY_ATTEMPTS: u32 = 5;

/// Timeout per attempt.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of the final attempt, for which process exit waits.
const FINAL_NOTIFY_TIMEOUT: Duration = Duration::from_secs(1);

type NotifyPayloads = Vec<(String, String)>;

/// Sends pending signals until stopped, and then once more.
pub async fn run_notifier(hub: Arc<SignalHub>, pool: ConnectionCache, stop: CancellationToken) {
    let mut unsent = NotifyPayloads::new();
    while stop.run_until_cancelled(hub.wake.notified()).await.is_some() {
        // Signals that arrive while this batch is sent go out together in the next one.
        let payloads = take_pending(&hub);
        if stop.run_until_cancelled(send(&pool, &payloads)).await.is_none() {
            // They may have been sent already; receiving them twice is harmless.
            unsent = payloads;
            break;
        }
    }
    // The last writes of this process may have added signals.
    unsent.extend(take_pending(&hub));
    if let Err(failure) = try_to_send(&pool, &unsent, FINAL_NOTIFY_TIMEOUT).await {
        tracing::warn!(?failure, "final notify failed");
    }
}

fn take_pending(hub: &SignalHub) -> NotifyPayloads {
    payload::encode(hub.sender, &std::mem::take(&mut *hub.pending()))
}

async fn send(pool: &ConnectionCache, payloads: &NotifyPayloads) {
    for attempt in 0..MAX_NOTIFY_ATTEMPTS {
        let Err(failure) = try_to_send(pool, payloads, NOTIFY_TIMEOUT).await else { return };
        tracing::debug!(?failure, attempt, "notify failed");
        sleep(Backoff::DATABASE.random_delay(attempt)).await;
    }
    tracing::warn!("notifications dropped; other nodes catch up by polling");
}

async fn try_to_send(
    pool: &ConnectionCache,
    payloads: &NotifyPayloads,
    limit: Duration,
) -> DbResult<()> {
    if payloads.is_empty() {
        return Ok(());
    }
    let (channels, texts): (Vec<&str>, Vec<&str>) =
        payloads.iter().map(|(channel, text)| (channel.as_str(), text.as_str())).unzip();
    let sending = async {
        let mut connection = pool.acquire().await?;
        query(NOTIFY_MANY).bind(channels).bind(texts).execute(&mut *connection).await?;
        connection.release();
        Ok(())
    };
    let sent = timeout(limit, sending).await;
    sent.unwrap_or_else(|_| Err(DbError::ConnectionLost("no answer".to_owned())))
}
