//! Sends what waits, all together, one statement at a time, on a connection whose commits do not wait for the disk.

use super::{Hub, payload};
use longhaul_runtime::Backoff;
use sqlx_core::query::query;
use sqlx_postgres::PgPool;
use std::sync::Arc;
use tokio::time::sleep;

/// Sends any number of notifications.
pub const NOTIFY_MANY: &str = "-- store::notify
select count(pg_notify(channel, payload)) from unnest($1::text[], $2::text[]) as n (channel, payload)";

/// After this many failures in a row what waits is given up: readers look by themselves from time to time.
const TRIES: u32 = 5;

/// Sends for ever.
pub async fn notify(hub: Arc<Hub>, pool: PgPool) {
    loop {
        hub.wake.notified().await;
        let waiting = std::mem::take(&mut *hub.waiting());
        if !waiting.is_empty() {
            send(&pool, payload::encode(hub.sender, &waiting)).await;
        }
    }
}

async fn send(pool: &PgPool, payloads: Vec<(&'static str, String)>) {
    let (channels, texts): (Vec<&str>, Vec<String>) = payloads.into_iter().unzip();
    for attempt in 0..TRIES {
        let sent = query(NOTIFY_MANY).bind(&channels).bind(&texts).execute(pool).await;
        let Err(error) = sent else { return };
        tracing::debug!(%error, attempt, "a notification could not be sent");
        sleep(Backoff::RECONNECT.random_delay(attempt)).await;
    }
    tracing::warn!("notifications are given up; readers on other nodes will look by themselves");
}
