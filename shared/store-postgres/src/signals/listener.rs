//! Hears what other processes send, on one connection of its own.
//!
//! Whenever the connection was lost, everything may have been missed, and that is said. A new connection never waits for the
//! end of the old one, which may have gone silent: each comes out of a pool of its own.

use super::{CHANNELS, Hub, NOTIFY_MANY, payload};
use crate::{
    failure::{DbResult, Failure, POOLED},
    options::{Silence, listening, pool},
};
use longhaul_runtime::Backoff;
use sqlx_core::{error::Error, query::query};
use sqlx_postgres::{PgConnectOptions, PgListener, PgPool};
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
pub async fn listen(hub: Arc<Hub>, place: PgConnectOptions, mut listener: PgListener) {
    loop {
        let error = hear(&hub, &mut listener).await;
        tracing::warn!(%error, "the connection for notifications was lost");
        drop(listener);
        hub.missed();
        listener = reconnect(&place).await;
        // What was sent in between was heard by nobody.
        hub.missed();
    }
}

async fn reconnect(place: &PgConnectOptions) -> PgListener {
    let mut attempt = 0;
    loop {
        sleep(Backoff::RECONNECT.random_delay(attempt)).await;
        match connect(place).await {
            Ok(listener) => return listener,
            Err(failure) => tracing::debug!(?failure, attempt, "no connection for notifications"),
        }
        attempt = attempt.saturating_add(1);
    }
}

async fn connect(place: &PgConnectOptions) -> DbResult<PgListener> {
    // The listener keeps its pool for as long as it needs it.
    let pool = pool(listening(place.clone()), 1, &Silence::default());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    let listening = timeout(ANSWER, listener.listen_all(CHANNELS)).await;
    listening.map_err(|_| Failure::Lost("LISTEN is not answered".to_owned()))??;
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
///
/// Notifications that do not arrive in time may be late on a loaded server, so that is no reason to give up at once.
pub async fn verify(hub: &Hub, place: &PgConnectOptions, sending: &PgPool) -> DbResult<PgListener> {
    let mut listener = connect(place).await?;
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
        Err(_) => Err(Failure::Lost(format!("notifications do not arrive: {POOLED}"))),
    }
}
