//! Receives signals from other processes on a dedicated connection.
//!
//! A lost connection may have lost signals, so the listener then publishes `Missed`. A new
//! connection never waits for the old one, which may have gone silent: each has a separate pool.

use super::{channels::NotifyChannel, hub::SignalHub, notifier::NOTIFY_MANY, payload};
use crate::{
    error::{DbError, DbResult, POOLER_BREAKS_LISTEN},
    pool::pool,
    server::{Servers, SessionKind},
};
use longhaul_runtime::Backoff;
use sqlx_core::{error::Error, query::query};
use sqlx_postgres::{PgListener, PgPool};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Longest silence before the connection is verified. Together with the time for the answer that is
/// 5 seconds.
const VERIFY_AFTER_SILENCE: Duration = Duration::from_secs(3);

/// Longest wait for the answer to LISTEN, and for a notification to arrive.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between checks for channels to leave.
const UNLISTEN_INTERVAL: Duration = Duration::from_secs(60);

/// Listens forever, beginning with a connected listener.
pub async fn listen(hub: Arc<SignalHub>, servers: Servers, mut listener: PgListener) {
    loop {
        let failure = receive(&hub, &servers, &mut listener).await;
        tracing::warn!(%failure, "notification connection lost");
        drop(listener);
        // Readers poll until the new connection is up.
        servers.request_search();
        hub.publish_missed();
        listener = reconnect(&servers).await;
        // Signals sent between the two connections are lost.
        hub.publish_missed();
    }
}

async fn reconnect(servers: &Servers) -> PgListener {
    let mut attempt = 0;
    loop {
        sleep(Backoff::DATABASE.random_delay(attempt)).await;
        match connect(servers).await {
            Ok(listener) => return listener,
            Err(failure) => tracing::debug!(?failure, attempt, "notification connect failed"),
        }
        attempt = attempt.saturating_add(1);
    }
}

async fn connect(servers: &Servers) -> DbResult<PgListener> {
    let mut host_changes = servers.host_changes();
    // The listener keeps its pool alive.
    let pool = pool(servers, SessionKind::Listening, 1);
    let mut listener = tokio::select! {
        connected = PgListener::connect_with(&pool) => connected?,
        _ = host_changes.changed() => return Err(DbError::ConnectionLost("the primary has moved".to_owned())),
    };
    listener.eager_reconnect(false);
    Ok(listener)
}

/// Joins the wanted channels and leaves all others.
async fn update_subscriptions(
    hub: &SignalHub,
    listener: &mut PgListener,
    joined: &mut BTreeSet<NotifyChannel>,
) -> DbResult<()> {
    let wanted = hub.channels.wanted();
    let new: Vec<NotifyChannel> = wanted.difference(joined).copied().collect();
    let left: Vec<NotifyChannel> = joined.difference(&wanted).copied().collect();
    if !new.is_empty() {
        let names: Vec<String> = new.iter().map(|channel| channel.name()).collect();
        listener.listen_all(names.iter().map(String::as_str)).await?;
        // Joined from here on; earlier signals were not received.
        for channel in new {
            hub.publish_joined(channel);
        }
    }
    for channel in left {
        listener.unlisten(&channel.name()).await?;
    }
    *joined = wanted;
    Ok(())
}

/// Delivers notifications until the connection is lost; returns the cause.
async fn receive(hub: &SignalHub, servers: &Servers, listener: &mut PgListener) -> DbError {
    let mut suspicions = servers.suspicions();
    // A new connection has joined no channel yet.
    let mut joined = BTreeSet::new();
    let mut next_update = Instant::now();
    loop {
        if Instant::now() >= next_update {
            match timeout(ANSWER_TIMEOUT, update_subscriptions(hub, listener, &mut joined)).await {
                Ok(Ok(())) => next_update = Instant::now() + UNLISTEN_INTERVAL,
                Ok(Err(failure)) => return failure,
                Err(_) => return DbError::ConnectionLost("LISTEN is not answered".to_owned()),
            }
        }
        tokio::select! {
            received = listener.try_recv() => match received {
                Ok(Some(notification)) => {
                    deliver(hub, notification.payload());
                    continue;
                }
                Ok(None) => return DbError::ConnectionLost("closed by the server".to_owned()),
                Err(error) => return error.into(),
            },
            // A new channel must be joined at once; leaving others can wait.
            () = hub.channels.changed() => {
                next_update = Instant::now();
                continue;
            }
            () = sleep_until(next_update) => continue,
            () = sleep(VERIFY_AFTER_SILENCE) => {}
            Ok(()) = suspicions.changed() => {}
        }
        if let Err(failure) = servers.verify(&mut *listener).await {
            return failure;
        }
    }
}

fn deliver(hub: &SignalHub, text: &str) {
    match payload::decode(text) {
        // This process delivered its own signals at commit.
        Some((sender, _)) if sender == hub.sender => {}
        Some((_, signals)) => hub.deliver(signals),
        None => hub.publish_missed(),
    }
}

/// Connects, and checks that a notification sent on another connection arrives on this one.
///
/// A notification that does not arrive in time may be late on a loaded server, so the error is
/// retryable.
pub async fn verify_delivery(
    hub: &SignalHub,
    servers: &Servers,
    sending: &PgPool,
) -> DbResult<PgListener> {
    let mut listener = connect(servers).await?;
    let nonce = format!("{:016x}", hub.sender);
    let channel = format!("longhaul_check_{nonce}");
    let listening = timeout(ANSWER_TIMEOUT, listener.listen(&channel)).await;
    listening.map_err(|_| DbError::ConnectionLost("LISTEN is not answered".to_owned()))??;
    query(NOTIFY_MANY)
        .bind([channel.as_str()].as_slice())
        .bind([nonce.as_str()].as_slice())
        .execute(sending)
        .await?;
    let heard = timeout(ANSWER_TIMEOUT, async {
        while let Some(notification) = listener.try_recv().await? {
            if notification.payload() == nonce {
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
        Ok(Ok(false)) => {
            Err(DbError::ConnectionLost("the notification connection was lost".to_owned()))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(DbError::ConnectionLost(format!(
            "notifications do not arrive: {POOLER_BREAKS_LISTEN}"
        ))),
    }
}
