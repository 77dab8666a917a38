//! Publishes hints from the outbox to the broker, on a dedicated connection.
//!
//! Guarantee: no publish waits for the confirm of another, the number of unconfirmed messages is
//! bounded, and every lost hint is counted. A hint that was refused, returned or lost with its
//! connection gets one more attempt; a missing queue is declared first. While the connection is
//! down, hints wait in the outbox until it is full. A crash loses hints only.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use longhaul_runtime::Backoff;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{AmqpError, BrokerConnection},
    health::{FlowReporter, ProbeDue, ProbeSchedule},
    message,
    options::AmqpOptions,
    outbox::{CoalescingQueue, PendingHint, ProbeRequest},
};
use crate::counters::Counters;

/// Maximum number of times a hint is published.
const MAX_ATTEMPTS_PER_HINT: u8 = 2;

/// Maximum number of hints taken from the outbox at once.
const MAX_HINTS_PER_BATCH: usize = 1024;

/// The dependencies of a [`Publisher`].
pub(super) struct PublisherParts {
    pub(super) options: Arc<AmqpOptions>,
    pub(super) outbox: mpsc::Receiver<PendingHint>,
    pub(super) probes: mpsc::Receiver<ProbeRequest>,
    pub(super) counters: Arc<Counters>,
    pub(super) reporter: FlowReporter,
    pub(super) closing: CancellationToken,
}

/// The publishing side of a dispatcher.
pub(super) struct Publisher {
    parts: PublisherParts,
    // Hints to publish, including retries.
    queue: CoalescingQueue,
    // Published and unconfirmed hints, by a local number.
    unconfirmed: HashMap<u64, PendingHint>,
    last_id: u64,
    // At most one unconfirmed probe, so that they do not pile up at a blocked broker.
    own_probe_in_flight: bool,
}

impl Publisher {
    pub(super) fn new(parts: PublisherParts) -> Self {
        let (queue, unconfirmed) = (CoalescingQueue::default(), HashMap::new());
        Self { parts, queue, unconfirmed, last_id: 0, own_probe_in_flight: false }
    }

    /// Publishes until closed, then until everything is confirmed or the connection fails.
    pub(super) async fn run(mut self) {
        let options = Arc::clone(&self.parts.options);
        let closing = self.parts.closing.clone();
        let mut failures = 0;
        while !closing.is_cancelled() {
            let mut schedule = ProbeSchedule::new(options.probe_interval, options.probe_timeout);
            let Err(error) = self.session(&mut schedule).await else { break };
            self.requeue_unconfirmed();
            self.parts.reporter.failed("cannot publish to the broker");
            self.parts.counters.reconnects.increment();
            failures = if schedule.any_arrived() { 0 } else { failures + 1 };
            let advice = error.advice(&options);
            tracing::warn!(%error, failures, advice, "wake-up publisher disconnected; workers poll");
            // A close cuts the wait short; the loop condition sees it.
            let _ = timeout(Backoff::RECONNECT.random_delay(failures), closing.cancelled()).await;
        }
        self.drop_remaining();
    }

    /// Opens a connection and publishes on it. Returns `Ok` on a close only.
    async fn session(&mut self, schedule: &mut ProbeSchedule) -> Result<(), AmqpError> {
        let options = Arc::clone(&self.parts.options);
        let closing = self.parts.closing.clone();
        let channel = async {
            let connection = BrokerConnection::open(&options, "publisher").await?;
            PublishChannel::new(connection, options.connect_timeout).await
        };
        let channel = tokio::select! {
            () = closing.cancelled() => return Ok(()),
            channel = channel => channel?,
        };
        self.own_probe_in_flight = false;
        self.publish_until_closed(&channel, schedule).await?;
        channel.connection.close().await;
        Ok(())
    }

    async fn publish_until_closed(
        &mut self,
        channel: &PublishChannel,
        schedule: &mut ProbeSchedule,
    ) -> Result<(), AmqpError> {
        let mut in_flight: FuturesUnordered<PublishFuture> = FuturesUnordered::new();
        let mut failure = pin!(channel.connection.failed());
        let mut batch = Vec::new();
        let limit = self.parts.options.max_unconfirmed.max(1);
        loop {
            while in_flight.len() < limit
                && let Some(hint) = self.queue.pop()
            {
                in_flight.extend(self.publish(channel, hint));
            }
            let outbox = &mut self.parts.outbox;
            let closed = outbox.is_closed() && outbox.is_empty();
            if closed && self.unconfirmed.is_empty() && self.queue.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                error = &mut failure => return Err(error),
                () = self.parts.closing.cancelled(), if !outbox.is_closed() => outbox.close(),
                due = schedule.due() => in_flight.extend(self.probe(channel, &due)?),
                Some((published, confirmation)) = in_flight.next(), if !in_flight.is_empty() => {
                    if let Some(message) = self.handle_confirm(published, confirmation?, schedule) {
                        self.redeclare_and_retry(channel, message, &mut in_flight, schedule).await?;
                    }
                }
                Some(request) = self.parts.probes.recv() => {
                    let probe = Published::SourceProbe(request.confirmed);
                    in_flight.push(channel.probe(request.queue, probe));
                }
                _ = outbox.recv_many(&mut batch, MAX_HINTS_PER_BATCH), if !closed => {
                    for hint in batch.drain(..) {
                        self.push(hint);
                    }
                }
            }
        }
    }

    fn push(&mut self, hint: PendingHint) {
        if !self.queue.push(hint) {
            self.parts.counters.coalesced.increment();
        }
    }

    /// Publishes a hint, unless it has expired.
    fn publish(&mut self, channel: &PublishChannel, hint: PendingHint) -> Option<PublishFuture> {
        if hint.created_at.elapsed() >= self.parts.options.message_ttl {
            self.queue.settled(&hint.wake.agent);
            self.parts.counters.dropped.add(hint.hint_count as usize);
            return None;
        }
        self.last_id += 1;
        self.parts.counters.published.increment();
        let queue = self.parts.options.queue_name(&hint.wake.agent);
        let publish = channel.publish(queue, &hint, Published::Hint(self.last_id));
        self.unconfirmed.insert(self.last_id, hint);
        Some(publish)
    }

    /// Sends the publisher's own probe, or handles a missed one. A blocked connection is kept: the
    /// broker is short of resources, and a new connection would be blocked too.
    fn probe(
        &mut self,
        channel: &PublishChannel,
        due: &ProbeDue,
    ) -> Result<Option<PublishFuture>, AmqpError> {
        match due {
            ProbeDue::Send if self.own_probe_in_flight => Ok(None),
            ProbeDue::Send => {
                self.own_probe_in_flight = true;
                Ok(Some(channel.probe(String::new(), Published::OwnProbe)))
            }
            // Once closed, do not wait for the broker to recover.
            ProbeDue::Missed
                if channel.connection.is_blocked() && !self.parts.outbox.is_closed() =>
            {
                self.parts
                    .reporter
                    .failed("the broker takes no messages: it is short of memory or disk");
                Ok(None)
            }
            ProbeDue::Missed => Err(AmqpError::Lost("the broker confirms nothing")),
        }
    }

    /// Handles a confirm and returns the message returned with it. That may be another message than
    /// the confirmed one: the client attaches a returned message to the next confirm.
    fn handle_confirm(
        &mut self,
        published: Published,
        confirmation: Confirmation,
        schedule: &mut ProbeSchedule,
    ) -> Option<BasicReturnMessage> {
        let acked = !confirmation.is_nack();
        let message = confirmation.take_message();
        match published {
            Published::OwnProbe => {
                self.own_probe_in_flight = false;
                schedule.arrived();
                self.parts.reporter.healthy();
            }
            // The source may be gone.
            Published::SourceProbe(notify) => drop(notify.send(())),
            Published::Hint(id) => {
                if let Some(hint) = self.unconfirmed.remove(&id) {
                    self.queue.settled(&hint.wake.agent);
                    match (&message, acked) {
                        (None, true) => self.parts.counters.confirmed.increment(),
                        (None, false) => self.retry(hint),
                        (Some(_), _) => {}
                    }
                }
            }
        }
        message
    }

    /// Declares the missing queues of returned messages, including those returned meanwhile, and
    /// retries their hints.
    async fn redeclare_and_retry(
        &mut self,
        channel: &PublishChannel,
        first: BasicReturnMessage,
        in_flight: &mut FuturesUnordered<PublishFuture>,
        schedule: &mut ProbeSchedule,
    ) -> Result<(), AmqpError> {
        let mut returned = vec![first];
        while let Some(Some((published, confirmation))) = in_flight.next().now_or_never() {
            returned.extend(self.handle_confirm(published, confirmation?, schedule));
        }
        self.parts.counters.returned.add(returned.len());
        let options = Arc::clone(&self.parts.options);
        let agents: BTreeSet<_> = returned
            .iter()
            .filter_map(|one| options.queue_agent(one.routing_key.as_str()))
            .collect();
        for agent in agents {
            let declared = timeout(
                options.connect_timeout,
                channel.connection.declare_queue(&options, &agent),
            );
            declared.await.map_err(|_| AmqpError::Lost("declaring a queue hangs"))??;
        }
        for message in returned {
            let agent = options.queue_agent(message.routing_key.as_str());
            let wake =
                agent.and_then(|agent| message::decode(agent, &message.data, &message.properties));
            let attempt = message::attempt(&message.properties);
            match wake {
                Some((wake, hint_count)) => {
                    self.retry(PendingHint {
                        wake,
                        hint_count,
                        attempt,
                        created_at: Instant::now(),
                    });
                }
                None => self.parts.counters.dropped.increment(),
            }
        }
        Ok(())
    }

    fn retry(&mut self, hint: PendingHint) {
        let attempt = hint.attempt.saturating_add(1);
        if attempt < MAX_ATTEMPTS_PER_HINT {
            self.push(PendingHint { attempt, ..hint });
        } else {
            self.parts.counters.dropped.add(hint.hint_count as usize);
        }
    }

    /// Retries the hints that a lost connection left unconfirmed.
    fn requeue_unconfirmed(&mut self) {
        self.queue.reset_in_flight();
        for (_, hint) in std::mem::take(&mut self.unconfirmed) {
            self.retry(hint);
        }
    }

    /// Counts everything left in the outbox and the queue as dropped.
    fn drop_remaining(&mut self) {
        self.parts.outbox.close();
        let unconfirmed = self.unconfirmed.values().map(|hint| hint.hint_count as usize);
        let mut dropped = unconfirmed.sum::<usize>() + self.queue.hint_count();
        while self.parts.outbox.try_recv().is_ok() {
            dropped += 1;
        }
        self.parts.counters.dropped.add(dropped);
    }
}

/// A published message whose confirm is awaited.
enum Published {
    /// A hint, by its local number.
    Hint(u64),
    /// A probe of a source, which is notified of the confirm.
    SourceProbe(oneshot::Sender<()>),
    /// The publisher's own probe. It goes to no queue: the confirm is the proof.
    OwnProbe,
}

/// A publish in flight; resolves with its confirm or an error.
type PublishFuture = BoxFuture<'static, (Published, lapin::Result<Confirmation>)>;

/// A connection with a channel in confirm mode.
struct PublishChannel {
    connection: BrokerConnection,
    channel: Channel,
}

impl PublishChannel {
    async fn new(connection: BrokerConnection, limit: Duration) -> Result<Self, AmqpError> {
        let opened = timeout(limit, async {
            let channel = connection.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, AmqpError>(channel)
        });
        let channel = opened.await.map_err(|_| AmqpError::Lost("opening a channel hangs"))??;
        Ok(Self { connection, channel })
    }

    /// Publishes a hint as mandatory: the broker returns it if the queue is missing.
    fn publish(&self, queue: String, hint: &PendingHint, published: Published) -> PublishFuture {
        let properties = message::properties(&hint.wake, hint.attempt);
        let body = message::encode(&hint.wake, hint.hint_count);
        self.start(queue, true, body, properties, published)
    }

    /// Publishes a probe. The broker discards it if the queue is missing.
    fn probe(&self, queue: String, published: Published) -> PublishFuture {
        self.start(queue, false, Vec::new(), BasicProperties::default(), published)
    }

    fn start(
        &self,
        queue: String,
        mandatory: bool,
        body: Vec<u8>,
        properties: BasicProperties,
        published: Published,
    ) -> PublishFuture {
        let channel = self.channel.clone();
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        Box::pin(async move {
            let written =
                channel.basic_publish("".into(), queue.into(), options, &body, properties).await;
            let confirmation = match written {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            (published, confirmation)
        })
    }
}
