//! Hears what other processes send, on one connection of its own.
//!
//! Whenever the connection was lost, everything may have been missed, and that is said. A new connection never waits for the
//! end of the old one, which may have gone silent: each comes out of a pool of its own.

use super::{Hub, NOTIFY_MANY, interest::Channel, payload};
use crate::{
    failure::{DbResult, Failure, POOLED},
    options::{Silence, listening, pool},
};
use longhaul_runtime::Backoff;
use sqlx_core::{error::Error, query::query};
use sqlx_postgres::{PgConnectOptions, PgListener, PgPool};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Asks the connection whether it lives.
pub const ALIVE: &str = "-- store::alive
select 1";

/// After this long without a word the connection is asked whether it lives.
const QUIET: Duration = Duration::from_secs(10);

/// How long a living connection may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How often channels that nobody asks for any longer are left.
const LEAVE_INTERVAL: Duration = Duration::from_secs(60);

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
    Ok(listener)
}

/// Listens to the channels that are wanted now, and to no others.
async fn follow(
    hub: &Hub,
    listener: &mut PgListener,
    joined: &mut BTreeSet<Channel>,
) -> DbResult<()> {
    let wanted = hub.interest.wanted();
    let new: Vec<Channel> = wanted.difference(joined).copied().collect();
    let left: Vec<Channel> = joined.difference(&wanted).copied().collect();
    if !new.is_empty() {
        let names: Vec<String> = new.iter().map(|channel| channel.name()).collect();
        listener.listen_all(names.iter().map(String::as_str)).await?;
        // Confirmed. What was sent before that was not heard here.
        for channel in new {
            hub.joined(channel);
        }
    }
    for channel in left {
        listener.unlisten(&channel.name()).await?;
    }
    *joined = wanted;
    Ok(())
}

/// Delivers what comes until the connection is lost; gives the reason.
async fn hear(hub: &Hub, listener: &mut PgListener) -> String {
    let mut joined = BTreeSet::new();
    let mut next_follow = Instant::now();
    loop {
        if Instant::now() >= next_follow {
            match timeout(ANSWER, follow(hub, listener, &mut joined)).await {
                Ok(Ok(())) => next_follow = Instant::now() + LEAVE_INTERVAL,
                Ok(Err(failure)) => return format!("{failure:?}"),
                Err(_) => return "LISTEN is not answered".to_owned(),
            }
        }
        let received = tokio::select! {
            received = timeout(QUIET, listener.try_recv()) => received,
            () = hub.interest.changed() => {
                next_follow = Instant::now();
                continue;
            }
            () = sleep_until(next_follow) => continue,
        };
        match received {
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
    let channel = format!("longhaul_check_{word}");
    let listening = timeout(ANSWER, listener.listen(&channel)).await;
    listening.map_err(|_| Failure::Lost("LISTEN is not answered".to_owned()))??;
    query(NOTIFY_MANY)
        .bind([channel.as_str()].as_slice())
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
        Ok(Ok(true)) => {
            listener.unlisten(&channel).await?;
            Ok(listener)
        }
        Ok(Ok(false)) => Err(Failure::Lost("the connection for notifications was lost".to_owned())),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::Lost(format!("notifications do not arrive: {POOLED}"))),
    }
}
