//! Hears what other processes send, on one connection of its own.
//!
//! Whenever the connection was lost, everything may have been missed, and that is said.

use super::{CHANNELS, Hub, NOTIFY_MANY, payload};
use crate::failure::{DbResult, Failure, POOLED};
use longhaul_runtime::Backoff;
use sqlx_core::{error::Error, query::query};
use sqlx_postgres::{PgListener, PgPool};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Asks the connection whether it lives.
pub const ALIVE: &str = "-- store::alive
select 1";

/// After this long without a word the connection is asked whether it lives.
const QUIET: Duration = Duration::from_secs(10);

/// How long a living connection may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Listens for ever. `listener` is connected already.
pub async fn listen(hub: Arc<Hub>, pool: PgPool, mut listener: PgListener) {
    loop {
        let error = hear(&hub, &mut listener).await;
        tracing::warn!(%error, "the connection for notifications was lost");
        drop(listener);
        hub.missed();
        listener = reconnect(&pool).await;
        // What was sent in between was heard by nobody.
        hub.missed();
    }
}

async fn reconnect(pool: &PgPool) -> PgListener {
    let mut attempt = 0;
    loop {
        sleep(Backoff::RECONNECT.random_delay(attempt)).await;
        match connect(pool).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(%error, attempt, "no connection for notifications"),
        }
        attempt = attempt.saturating_add(1);
    }
}

async fn connect(pool: &PgPool) -> Result<PgListener, Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all(CHANNELS).await?;
    Ok(listener)
}

/// Delivers what comes until the connection is lost; gives the reason.
async fn hear(hub: &Hub, listener: &mut PgListener) -> String {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => deliver(hub, notification.payload()),
            Ok(Ok(None)) => return "closed by the server".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => {
                let answer = timeout(ANSWER, query(ALIVE).execute(&mut *listener));
                match answer.await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return "no answer".to_owned(),
                }
            }
        }
    }
}

fn deliver(hub: &Hub, text: &str) {
    match payload::decode(text) {
        // What this process sent was delivered when it was committed.
        Some((sender, _)) if sender == hub.sender => {}
        Some((_, told)) => hub.deliver(told),
        None => hub.missed(),
    }
}

/// Connects, and proves that a notification sent on another connection arrives on this one.
pub async fn verify(hub: &Hub, listening: &PgPool, sending: &PgPool) -> DbResult<PgListener> {
    let mut listener = connect(listening).await?;
    let word = format!("{:016x}", hub.sender);
    query(NOTIFY_MANY)
        .bind([CHANNELS[0]].as_slice())
        .bind([word.as_str()].as_slice())
        .execute(sending)
        .await?;
    let heard = timeout(ANSWER, async {
        while let Some(notification) = listener.try_recv().await? {
            if notification.payload() == word {
                return Ok(true);
            }
        }
        Ok::<bool, Error>(false)
    });
    match heard.await {
        Ok(Ok(true)) => Ok(listener),
        Ok(Ok(false)) => Err(Failure::Lost("the connection for notifications was lost".to_owned())),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::Schema(format!("notifications do not arrive: {POOLED}"))),
    }
}
