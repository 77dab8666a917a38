//! Keeps one source supplied, on a connection of its own.
//!
//! Guarantee: it comes back from every failure of the broker, redeclares a queue that was deleted beneath it, and says in
//! readiness whether messages really arrive. What was unacknowledged when a connection ended is the broker's again, and the
//! copies here are discarded. Nothing is published on this connection: a broker short of memory or disk stops reading from
//! connections that publish, and the acknowledgements with them. The proofs therefore leave by the publisher and come in
//! on the channel that consumes the hints.

use std::sync::Arc;

use futures::{StreamExt, future::join_all};
use lapin::{
    Acker, Channel, Consumer, message,
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
    body,
    health::{Due, Leg, Proof},
    inbox::Inbox,
    lines::{Line, Lines},
    link::{Link, Trouble},
    outbox::ProofRequest,
    settings::AmqpOptions,
};
use crate::{Delivery, DeliveryDecision, counters::Counters};

/// Verdicts dealt with together.
const BATCH: usize = 256;

type Judged = (Acker, DeliveryDecision);

/// What a driver works with.
pub(super) struct Parts {
    pub(super) settings: Arc<AmqpOptions>,
    pub(super) agents: Vec<AgentName>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) proofs: mpsc::Sender<ProofRequest>,
    pub(super) counters: Arc<Counters>,
    pub(super) leg: Leg,
    pub(super) stop: CancellationToken,
}

/// The receiving side of one source.
pub(super) struct Driver {
    parts: Parts,
    judged: mpsc::UnboundedSender<Judged>,
    verdicts: mpsc::UnboundedReceiver<Judged>,
    // Deliveries of this connection without a verdict.
    held: usize,
    // How many connections in a row found a queue that does not answer, and whose it was.
    stuck: u32,
    suspect: Option<AgentName>,
}

/// After this many connections a queue that does not answer is thrown away.
const PATIENCE: u32 = 2;

/// The connection of a source, set up.
struct Session {
    link: Link,
    lines: Lines,
    proofs: Consumer,
    /// Tells whether the broker took the last proof over.
    taken: Option<oneshot::Receiver<()>>,
    check: Interval,
}

impl Driver {
    pub(super) fn new(parts: Parts) -> Self {
        // Unbounded in type only: there are no more verdicts than deliveries, and the prefetch bounds those.
        let (judged, verdicts) = mpsc::unbounded_channel();
        Self { parts, judged, verdicts, held: 0, stuck: 0, suspect: None }
    }

    /// Receives until stopped.
    pub(super) async fn run(mut self) {
        let stop = self.parts.stop.clone();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let mut proof =
                Proof::new(self.parts.settings.proof_every, self.parts.settings.proof_within);
            let Err(trouble) = self.session(&mut proof).await else { break };
            self.parts.inbox.clear();
            self.parts.leg.failed("cannot consume from the broker");
            self.parts.counters.reconnects.one();
            failures = if proof.ever() { 0 } else { failures + 1 };
            (self.stuck, self.suspect) = match &trouble {
                Trouble::Stuck(agent) => (self.stuck + 1, Some(agent.clone())),
                _ => (0, None),
            };
            let advice = trouble.advice(&self.parts.settings);
            tracing::warn!(%trouble, failures, advice, "wake-ups cannot be received for now; probing goes on");
            // Either way the loop goes on; the stop only makes it sooner.
            let _ = timeout(Backoff::RECONNECT.random_delay(failures), stop.cancelled()).await;
        }
        self.parts.inbox.close();
    }

    /// One connection's life. Ends well only by a stop.
    async fn session(&mut self, proof: &mut Proof) -> Result<(), Trouble> {
        let stop = self.parts.stop.clone();
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            session = Session::open(&self.parts.settings) => session?,
        };
        self.receive(&mut session, proof).await?;
        session.link.close().await;
        Ok(())
    }

    async fn receive(&mut self, session: &mut Session, proof: &mut Proof) -> Result<(), Trouble> {
        let mut batch = Vec::new();
        self.held = 0;
        self.turn(session).await?;
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Ok(()),
                () = self.parts.inbox.turned() => self.turn(session).await?,
                _ = self.verdicts.recv_many(&mut batch, BATCH) => self.settle(&mut batch).await?,
                due = proof.due() => self.prove(session, &due)?,
                _ = session.check.tick() => {
                    let holding = self.held > 0;
                    let Session { link, lines, .. } = session;
                    self.bounded(lines.check(link, &self.parts.settings, holding)).await?;
                }
                arrived = session.proofs.next() => match arrived {
                    Some(Ok(_)) => {
                        proof.arrived();
                        self.parts.leg.proven();
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Trouble::Lost("the proof queue is gone")),
                },
                Some((agent, line)) = session.lines.next(), if !session.lines.is_empty() => match line {
                    Line::Message(message) => self.deliver(agent, &message),
                    Line::Failed(error) => return Err(error.into()),
                    Line::Ended(tag) if session.lines.lost(&agent, &tag) => {
                        tracing::warn!(%agent, "the queue lost its consumer; consuming again");
                        self.bounded(session.lines.start(&session.link, &self.parts.settings, &agent)).await?;
                    }
                    Line::Ended(_) => {}
                },
            }
        }
    }

    /// Makes the consumers agree with what the user of the source wants.
    async fn turn(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let paused = self.parts.inbox.paused();
        if self.parts.agents.iter().all(|agent| paused.contains(agent)) {
            return self.bounded(session.lines.stop()).await;
        }
        for agent in &self.parts.agents {
            match (paused.contains(agent), session.lines.consumes(agent)) {
                (true, true) => self.bounded(session.lines.end(agent)).await?,
                (false, false) => self.start(session, agent).await?,
                (true, false) | (false, true) => {}
            }
        }
        if self.suspect.as_ref().is_none_or(|suspect| session.lines.consumes(suspect)) {
            // It answers: it is not to be thrown away when this connection pauses and goes on.
            (self.stuck, self.suspect) = (0, None);
        }
        Ok(())
    }

    /// Begins to consume one queue. One that does not answer is thrown away once patience is over; the others are kept.
    async fn start(&self, session: &mut Session, agent: &AgentName) -> Result<(), Trouble> {
        let Session { link, lines, .. } = session;
        let settings = &self.parts.settings;
        let suspect = self.suspect.as_ref() == Some(agent);
        if self.stuck < PATIENCE || !suspect {
            match timeout(settings.connect_timeout, lines.start(link, settings, agent)).await {
                Ok(started) => return started,
                Err(_) if self.stuck < PATIENCE => return Err(Trouble::Stuck(agent.clone())),
                Err(_) => {}
            }
        }
        // Should it not be there, or not answer for this either, the start tells.
        let _ = self.bounded(link.discard(settings, agent)).await;
        lines.discarded(agent);
        let started = timeout(settings.connect_timeout, lines.start(link, settings, agent));
        started.await.map_err(|_| Trouble::Stuck(agent.clone()))?
    }

    async fn bounded(
        &self,
        step: impl Future<Output = Result<(), Trouble>>,
    ) -> Result<(), Trouble> {
        let done = timeout(self.parts.settings.connect_timeout, step).await;
        done.map_err(|_| Trouble::Lost("the broker does not answer"))?
    }

    fn deliver(&mut self, agent: AgentName, message: &message::Delivery) {
        self.held += 1;
        let verdicts = self.judged.clone();
        let acker = message.acker.clone();
        let judge = move |verdict| {
            // With the driver gone, the connection is too, and the message is the broker's again.
            let _ = verdicts.send((acker, verdict));
        };
        let read = body::decode(agent, &message.data, &message.properties);
        if let Some((wake, hint_count)) = read {
            self.parts.counters.received.one();
            self.parts.inbox.push(Delivery::new(wake, judge).with_hint_count(hint_count));
        } else {
            self.parts.counters.unreadable.one();
            judge(DeliveryDecision::Done);
        }
    }

    /// Passes verdicts on. Those on deliveries of a former connection are moot.
    async fn settle(&mut self, batch: &mut Vec<Judged>) -> Result<(), Trouble> {
        batch.retain(|(acker, _)| acker.usable());
        self.held = self.held.saturating_sub(batch.len());
        let passed = batch.drain(..).map(async |(acker, verdict)| match verdict {
            DeliveryDecision::Done => acker.ack(BasicAckOptions::default()).await,
            DeliveryDecision::HandedBack => {
                acker.nack(BasicNackOptions { requeue: true, multiple: false }).await
            }
        });
        for passed in join_all(passed).await {
            passed?;
        }
        Ok(())
    }

    /// Asks for a proof, or judges that one is missing. If the broker has taken it over, it is this end that is stuck.
    fn prove(&self, session: &mut Session, due: &Due) -> Result<(), Trouble> {
        let state = session.taken.as_mut().map(oneshot::Receiver::try_recv);
        match due {
            Due::Send => {
                // One at a time: while the publisher is blocked they would pile up.
                if !matches!(state, Some(Err(oneshot::error::TryRecvError::Empty))) {
                    let (told, taken) = oneshot::channel();
                    session.taken = Some(taken);
                    let request =
                        ProofRequest { queue: session.proofs.queue().to_string(), taken: told };
                    // A full queue of requests means a publisher that is away; the proof is then missed.
                    let _ = self.parts.proofs.try_send(request);
                }
                Ok(())
            }
            Due::Missed => {
                self.parts.leg.failed("no proof that wake-ups arrive");
                match state {
                    Some(Ok(())) => Err(Trouble::Lost("the broker delivers nothing")),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Session {
    async fn open(settings: &AmqpOptions) -> Result<Self, Trouble> {
        let link = Link::open(settings, "source").await?;
        let opened = timeout(settings.connect_timeout, async {
            let channel = link.channel().await?;
            channel.basic_qos(settings.prefetch.max(1), BasicQosOptions::default()).await?;
            let proofs = proof_queue(&channel, settings.proof_queue()).await?;
            Ok::<_, Trouble>((channel, proofs))
        });
        let (channel, proofs) =
            opened.await.map_err(|_| Trouble::Lost("setting up a channel hangs"))??;
        let mut check = interval_at(Instant::now() + settings.check_every, settings.check_every);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { link, lines: Lines::new(channel), proofs, taken: None, check })
    }
}

/// A queue that only this connection consumes and that goes with it.
async fn proof_queue(channel: &Channel, name: String) -> lapin::Result<Consumer> {
    let options = QueueDeclareOptions::exclusive().auto_delete();
    let queue = channel.queue_declare(name.into(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await
}
