//! Feeds the inbox of one source, on a dedicated connection.
//!
//! Guarantee: it recovers from every failure of the broker, declares deleted queues again, and
//! reports in readiness whether messages really arrive. Unacknowledged messages of a lost
//! connection return to the broker; the copies here are dropped.
//!
//! Nothing is published on this connection: a broker short of memory or disk stops reading from
//! connections that publish, and would miss their acknowledgements. Probes therefore leave by the
//! publisher and arrive on the channel that consumes the hints.

use std::sync::Arc;

use futures::{StreamExt, future::join_all};
use lapin::{
    Acker, Channel, Consumer,
    message::Delivery as AmqpDelivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use longhaul_domain::AgentName;
use longhaul_runtime::Backoff;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{AmqpError, BrokerConnection},
    health::{FlowReporter, ProbeDue, ProbeSchedule},
    inbox::Inbox,
    message,
    options::AmqpOptions,
    outbox::ProbeRequest,
    subscriptions::{ConsumerEvent, Subscriptions},
};
use crate::{Delivery, DeliveryDecision, counters::Counters};

/// Maximum number of decisions sent to the broker at once.
const MAX_DECISIONS_PER_BATCH: usize = 256;

/// Number of sessions in a row that find a queue unresponsive, after which the queue is deleted.
const MAX_UNRESPONSIVE_SESSIONS: u32 = 2;

/// A decision on a delivery, with the handle to send it by.
type Decided = (Acker, DeliveryDecision);

/// The dependencies of a [`SourceDriver`].
pub(super) struct SourceDriverParts {
    pub(super) options: Arc<AmqpOptions>,
    pub(super) agents: Vec<AgentName>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) probes: mpsc::Sender<ProbeRequest>,
    pub(super) counters: Arc<Counters>,
    pub(super) reporter: FlowReporter,
    pub(super) stop: CancellationToken,
}

/// The receiving side of one source.
pub(super) struct SourceDriver {
    parts: SourceDriverParts,
    decisions_in: mpsc::UnboundedSender<Decided>,
    decisions: mpsc::UnboundedReceiver<Decided>,
    // Deliveries of this session without a decision.
    unsettled: usize,
    // Sessions in a row that found the suspect's queue unresponsive.
    unresponsive_sessions: u32,
    suspect: Option<AgentName>,
}

/// An open connection of a source.
struct SourceSession {
    connection: BrokerConnection,
    subscriptions: Subscriptions,
    probes: Consumer,
    // Resolves when the broker has confirmed the last probe.
    probe_confirmed: Option<oneshot::Receiver<()>>,
    check: Interval,
}

impl SourceDriver {
    pub(super) fn new(parts: SourceDriverParts) -> Self {
        // Bounded in fact: at most one decision per delivery, and the prefetch bounds those.
        let (decisions_in, decisions) = mpsc::unbounded_channel();
        Self {
            parts,
            decisions_in,
            decisions,
            unsettled: 0,
            unresponsive_sessions: 0,
            suspect: None,
        }
    }

    /// Receives until stopped.
    pub(super) async fn run(mut self) {
        let options = Arc::clone(&self.parts.options);
        let stop = self.parts.stop.clone();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let mut schedule = ProbeSchedule::new(options.probe_interval, options.probe_timeout);
            let Err(error) = self.session(&mut schedule).await else { break };
            self.parts.inbox.clear();
            self.parts.reporter.failed("cannot consume from the broker");
            self.parts.counters.reconnects.increment();
            failures = if schedule.any_arrived() { 0 } else { failures + 1 };
            (self.unresponsive_sessions, self.suspect) = match &error {
                AmqpError::Unresponsive(agent) => {
                    (self.unresponsive_sessions + 1, Some(agent.clone()))
                }
                _ => (0, None),
            };
            let advice = error.advice(&options);
            tracing::warn!(%error, failures, advice, "wake-up consumer disconnected; workers poll");
            // A stop cuts the wait short; the loop condition sees it.
            let _ = timeout(Backoff::RECONNECT.random_delay(failures), stop.cancelled()).await;
        }
        self.parts.inbox.close();
    }

    /// Opens a connection and receives on it. Returns `Ok` on a stop only.
    async fn session(&mut self, schedule: &mut ProbeSchedule) -> Result<(), AmqpError> {
        let stop = self.parts.stop.clone();
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            session = SourceSession::open(&self.parts.options) => session?,
        };
        self.receive(&mut session, schedule).await?;
        session.connection.close().await;
        Ok(())
    }

    async fn receive(
        &mut self,
        session: &mut SourceSession,
        schedule: &mut ProbeSchedule,
    ) -> Result<(), AmqpError> {
        let options = Arc::clone(&self.parts.options);
        let mut batch = Vec::new();
        self.unsettled = 0;
        self.update_consumers(session).await?;
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Ok(()),
                () = self.parts.inbox.pause_changed() => self.update_consumers(session).await?,
                _ = self.decisions.recv_many(&mut batch, MAX_DECISIONS_PER_BATCH) => {
                    self.settle(&mut batch).await?;
                }
                due = schedule.due() => self.probe(session, &due)?,
                _ = session.check.tick() => {
                    let has_unsettled = self.unsettled > 0;
                    let SourceSession { connection, subscriptions, .. } = session;
                    let check = subscriptions.check(connection, &options, has_unsettled);
                    self.with_timeout(check).await?;
                }
                arrived = session.probes.next() => match arrived {
                    Some(Ok(_)) => {
                        schedule.arrived();
                        self.parts.reporter.healthy();
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(AmqpError::Lost("the probe queue is gone")),
                },
                Some((agent, event)) = session.subscriptions.next(),
                    if !session.subscriptions.is_empty() =>
                {
                    match event {
                        ConsumerEvent::Message(message) => self.deliver(agent, &message),
                        ConsumerEvent::Failed(error) => return Err(error.into()),
                        ConsumerEvent::Ended(tag)
                            if session.subscriptions.take_lost(&agent, &tag) =>
                        {
                            tracing::warn!(%agent, "queue lost its consumer; consuming again");
                            let SourceSession { connection, subscriptions, .. } = session;
                            let subscribe = subscriptions.subscribe(connection, &options, &agent);
                            self.with_timeout(subscribe).await?;
                        }
                        ConsumerEvent::Ended(_) => {}
                    }
                }
            }
        }
    }

    /// Starts and cancels consumers to match the agents that the inbox has paused.
    async fn update_consumers(&mut self, session: &mut SourceSession) -> Result<(), AmqpError> {
        let paused = self.parts.inbox.paused();
        if self.parts.agents.iter().all(|agent| paused.contains(agent)) {
            return self.with_timeout(session.subscriptions.cancel_all()).await;
        }
        for agent in &self.parts.agents {
            match (paused.contains(agent), session.subscriptions.is_subscribed(agent)) {
                (true, true) => self.with_timeout(session.subscriptions.cancel(agent)).await?,
                (false, false) => self.subscribe(session, agent).await?,
                (true, false) | (false, true) => {}
            }
        }
        let responds = |suspect| session.subscriptions.is_subscribed(suspect);
        if self.suspect.as_ref().is_none_or(responds) {
            // The queue responds: do not delete it when this session pauses and resumes.
            (self.unresponsive_sessions, self.suspect) = (0, None);
        }
        Ok(())
    }

    /// Starts to consume a queue. One that stayed unresponsive for several sessions is deleted
    /// first; others are kept.
    async fn subscribe(
        &self,
        session: &mut SourceSession,
        agent: &AgentName,
    ) -> Result<(), AmqpError> {
        let SourceSession { connection, subscriptions, .. } = session;
        let options = &self.parts.options;
        let suspect = self.suspect.as_ref() == Some(agent);
        if self.unresponsive_sessions < MAX_UNRESPONSIVE_SESSIONS || !suspect {
            let subscribe = subscriptions.subscribe(connection, options, agent);
            match timeout(options.connect_timeout, subscribe).await {
                Ok(subscribed) => return subscribed,
                Err(_) if self.unresponsive_sessions < MAX_UNRESPONSIVE_SESSIONS => {
                    return Err(AmqpError::Unresponsive(agent.clone()));
                }
                Err(_) => {}
            }
        }
        // If the queue is missing or does not respond to this either, the next step shows it.
        let _ = self.with_timeout(connection.delete_queue(options, agent)).await;
        subscriptions.forget_queue(agent);
        let subscribe = subscriptions.subscribe(connection, options, agent);
        let subscribed = timeout(options.connect_timeout, subscribe).await;
        subscribed.map_err(|_| AmqpError::Unresponsive(agent.clone()))?
    }

    async fn with_timeout(
        &self,
        step: impl Future<Output = Result<(), AmqpError>>,
    ) -> Result<(), AmqpError> {
        let done = timeout(self.parts.options.connect_timeout, step).await;
        done.map_err(|_| AmqpError::Lost("the broker does not answer"))?
    }

    fn deliver(&mut self, agent: AgentName, delivery: &AmqpDelivery) {
        self.unsettled += 1;
        let decisions = self.decisions_in.clone();
        let acker = delivery.acker.clone();
        let settle = move |decision| {
            // If the driver is gone, so is the connection, and the broker has the message again.
            let _ = decisions.send((acker, decision));
        };
        let decoded = message::decode(agent, &delivery.data, &delivery.properties);
        if let Some((wake, hint_count)) = decoded {
            self.parts.counters.received.increment();
            self.parts.inbox.push(Delivery::new(wake, settle).with_hint_count(hint_count));
        } else {
            self.parts.counters.unreadable.increment();
            settle(DeliveryDecision::Ack);
        }
    }

    /// Sends decisions to the broker, except those on deliveries of earlier sessions.
    async fn settle(&mut self, batch: &mut Vec<Decided>) -> Result<(), AmqpError> {
        batch.retain(|(acker, _)| acker.usable());
        self.unsettled = self.unsettled.saturating_sub(batch.len());
        let sent = batch.drain(..).map(async |(acker, decision)| match decision {
            DeliveryDecision::Ack => acker.ack(BasicAckOptions::default()).await,
            DeliveryDecision::Requeue => {
                acker.nack(BasicNackOptions { requeue: true, multiple: false }).await
            }
        });
        for sent in join_all(sent).await {
            sent?;
        }
        Ok(())
    }

    /// Requests a probe, or handles a missed one. If the broker has confirmed it, the consuming
    /// side is stuck.
    fn probe(&self, session: &mut SourceSession, due: &ProbeDue) -> Result<(), AmqpError> {
        let confirmed = session.probe_confirmed.as_mut().map(oneshot::Receiver::try_recv);
        match due {
            ProbeDue::Send => {
                // One at a time: they would pile up while the publisher is blocked.
                if !matches!(confirmed, Some(Err(oneshot::error::TryRecvError::Empty))) {
                    let (notify, probe_confirmed) = oneshot::channel();
                    session.probe_confirmed = Some(probe_confirmed);
                    let queue = session.probes.queue().to_string();
                    // The queue of requests is full while the publisher is down: the probe is
                    // missed.
                    let _ = self.parts.probes.try_send(ProbeRequest { queue, confirmed: notify });
                }
                Ok(())
            }
            ProbeDue::Missed => {
                self.parts.reporter.failed("no proof that wake-ups arrive");
                match confirmed {
                    Some(Ok(())) => Err(AmqpError::Lost("the broker delivers nothing")),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl SourceSession {
    async fn open(options: &AmqpOptions) -> Result<Self, AmqpError> {
        let connection = BrokerConnection::open(options, "source").await?;
        let opened = timeout(options.connect_timeout, async {
            let channel = connection.channel().await?;
            channel.basic_qos(options.prefetch.max(1), BasicQosOptions::default()).await?;
            let probes = consume_probe_queue(&channel, options.probe_queue()).await?;
            Ok::<_, AmqpError>((channel, probes))
        });
        let (channel, probes) =
            opened.await.map_err(|_| AmqpError::Lost("setting up a channel hangs"))??;
        let interval = options.check_interval;
        let mut check = interval_at(Instant::now() + interval, interval);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let subscriptions = Subscriptions::new(channel);
        Ok(Self { connection, subscriptions, probes, probe_confirmed: None, check })
    }
}

/// Declares and consumes a queue that is exclusive to this connection and deleted with it.
async fn consume_probe_queue(channel: &Channel, name: String) -> lapin::Result<Consumer> {
    let options = QueueDeclareOptions::exclusive().auto_delete();
    let queue = channel.queue_declare(name.into(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await
}
