//! Hears what other processes send, on one connection of its own.
//!
//! Whenever the connection was lost, everything may have been missed, and that is said. A new connection never waits for the
//! end of the old one, which may have gone silent: each comes out of a pool of its own.

use super::{Hub, NOTIFY_MANY, interest::Channel, payload};
use crate::{
    failure::{DbResult, Failure, POOLED},
    options::pool,
    server::{Servers, SessionKind},
};
use longhaul_runtime::Backoff;
use sqlx_core::{error::Error, query::query};
use sqlx_postgres::{PgListener, PgPool};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Longest silence after which the connection is verified. With the time for the answer that is 5 seconds.
const QUIET: Duration = Duration::from_secs(3);

/// Longest wait for LISTEN to be answered, and for a notification to arrive.
const ANSWER: Duration = Duration::from_secs(5);

/// How often channels that nobody asks for any longer are left.
const LEAVE_INTERVAL: Duration = Duration::from_secs(60);

/// Listens for ever. `listener` is connected already.
pub async fn listen(hub: Arc<Hub>, servers: Servers, mut listener: PgListener) {
    loop {
        let failure = hear(&hub, &servers, &mut listener).await;
        tracing::warn!(%failure, "the connection for notifications was lost");
        drop(listener);
        servers.search();
        hub.missed();
        listener = reconnect(&servers).await;
        // What was sent in between was heard by nobody.
        hub.missed();
    }
}

async fn reconnect(servers: &Servers) -> PgListener {
    let mut attempt = 0;
    loop {
        sleep(Backoff::DATABASE.random_delay(attempt)).await;
        match connect(servers).await {
            Ok(listener) => return listener,
            Err(failure) => tracing::debug!(?failure, attempt, "no connection for notifications"),
        }
        attempt = attempt.saturating_add(1);
    }
}

async fn connect(servers: &Servers) -> DbResult<PgListener> {
    let mut moves = servers.moves();
    // The listener keeps its pool for as long as it needs it.
    let pool = pool(servers, SessionKind::Listening, 1);
    let mut listener = tokio::select! {
        connected = PgListener::connect_with(&pool) => connected?,
        _ = moves.changed() => return Err(Failure::Lost("the primary is elsewhere".to_owned())),
    };
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
async fn hear(hub: &Hub, servers: &Servers, listener: &mut PgListener) -> Failure {
    let mut suspicions = servers.suspicions();
    let mut joined = BTreeSet::new();
    let mut next_follow = Instant::now();
    loop {
        if Instant::now() >= next_follow {
            match timeout(ANSWER, follow(hub, listener, &mut joined)).await {
                Ok(Ok(())) => next_follow = Instant::now() + LEAVE_INTERVAL,
                Ok(Err(failure)) => return failure,
                Err(_) => return Failure::Lost("LISTEN is not answered".to_owned()),
            }
        }
        tokio::select! {
            received = listener.try_recv() => match received {
                Ok(Some(notification)) => {
                    deliver(hub, notification.payload());
                    continue;
                }
                Ok(None) => return Failure::Lost("closed by the server".to_owned()),
                Err(error) => return error.into(),
            },
            () = hub.interest.changed() => {
                next_follow = Instant::now();
                continue;
            }
            () = sleep_until(next_follow) => continue,
            () = sleep(QUIET) => {}
            Ok(()) = suspicions.changed() => {}
        }
        if let Err(failure) = servers.verify(&mut *listener).await {
            return failure;
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
pub async fn verify(hub: &Hub, servers: &Servers, sending: &PgPool) -> DbResult<PgListener> {
    let mut listener = connect(servers).await?;
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
