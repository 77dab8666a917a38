//! Takes hints from the outbox to the broker, on a connection of its own.
//!
//! Guarantee: a publish never waits for the confirm of another, what is unconfirmed is bounded, and nothing is given up
//! without being counted. A hint that was refused, returned or lost with its connection gets one more try; a missing queue
//! is declared before it. Hints for one agent that wait together leave as one message. With the connection gone, hints wait in
//! the outbox until it is full. A crash loses hints only.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
};

use futures::{StreamExt, stream::FuturesUnordered};
use lapin::{Confirmation, message::BasicReturnMessage};
use longhaul_runtime::Backoff;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    body,
    flight::{Flight, Runway, Sent},
    health::{Due, Leg, Proof},
    link::{Link, Trouble},
    merging::Merging,
    outbox::{Outgoing, ProofRequest},
    settings::AmqpOptions,
};
use crate::counters::Counters;

/// Tries that a hint gets.
const TRIES: u8 = 2;

/// Hints taken from the outbox at a time.
const BATCH: usize = 1024;

/// What a publisher works with.
pub(super) struct Parts {
    pub(super) settings: Arc<AmqpOptions>,
    pub(super) outbox: mpsc::Receiver<Outgoing>,
    pub(super) proofs: mpsc::Receiver<ProofRequest>,
    pub(super) counters: Arc<Counters>,
    pub(super) leg: Leg,
    pub(super) closing: CancellationToken,
}

/// The publishing side of a dispatcher.
pub(super) struct Publisher {
    parts: Parts,
    // Hints that are to be sent, also those that get another try.
    merging: Merging,
    // Published and not confirmed, by a number of our own.
    flying: HashMap<u64, Outgoing>,
    last_id: u64,
    // Whether an own proof is unconfirmed; a blocked broker would collect them.
    proving: bool,
}

impl Publisher {
    pub(super) fn new(parts: Parts) -> Self {
        let (merging, flying) = (Merging::default(), HashMap::new());
        Self { parts, merging, flying, last_id: 0, proving: false }
    }

    /// Publishes until closed, and then on until everything is confirmed or the connection fails.
    pub(super) async fn run(mut self) {
        let closing = self.parts.closing.clone();
        let mut failures = 0;
        while !closing.is_cancelled() {
            let mut proof =
                Proof::new(self.parts.settings.proof_every, self.parts.settings.proof_within);
            let Err(trouble) = self.session(&mut proof).await else { break };
            self.recall();
            self.parts.leg.failed("cannot publish to the broker");
            self.parts.counters.reconnects.one();
            failures = if proof.ever() { 0 } else { failures + 1 };
            let advice = trouble.advice(&self.parts.settings);
            tracing::warn!(%trouble, failures, advice, "wake-ups cannot be sent for now; workers probe");
            // Either way the loop goes on; the close only makes it sooner.
            let _ = timeout(Backoff::RECONNECT.random_delay(failures), closing.cancelled()).await;
        }
        self.give_up_rest();
    }

    /// One connection's life. Ends well only by a close.
    async fn session(&mut self, proof: &mut Proof) -> Result<(), Trouble> {
        let settings = Arc::clone(&self.parts.settings);
        let closing = self.parts.closing.clone();
        let runway = async {
            let link = Link::open(&settings, "publisher").await?;
            Runway::new(link, settings.connect_timeout).await
        };
        let runway = tokio::select! {
            () = closing.cancelled() => return Ok(()),
            runway = runway => runway?,
        };
        self.proving = false;
        self.fly(&runway, proof).await?;
        runway.link.close().await;
        Ok(())
    }

    async fn fly(&mut self, runway: &Runway, proof: &mut Proof) -> Result<(), Trouble> {
        let mut flights: FuturesUnordered<Flight> = FuturesUnordered::new();
        let mut failure = pin!(runway.link.failure());
        let mut batch = Vec::new();
        let limit = self.parts.settings.outstanding.max(1);
        loop {
            while flights.len() < limit
                && let Some(outgoing) = self.merging.take()
            {
                flights.extend(self.publish(runway, outgoing));
            }
            let outbox = &mut self.parts.outbox;
            let closed = outbox.is_closed() && outbox.is_empty();
            if closed && self.flying.is_empty() && self.merging.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                trouble = &mut failure => return Err(trouble),
                () = self.parts.closing.cancelled(), if !outbox.is_closed() => outbox.close(),
                due = proof.due() => flights.extend(self.prove(runway, &due)?),
                Some((sent, landed)) = flights.next(), if !flights.is_empty() => {
                    if let Some(message) = self.land(sent, landed?, proof) {
                        self.heal(runway, message, &mut flights, proof).await?;
                    }
                }
                Some(request) = self.parts.proofs.recv() => {
                    flights.push(runway.prove(request.queue, Sent::Proof(request.taken)));
                }
                _ = outbox.recv_many(&mut batch, BATCH), if !closed => {
                    for outgoing in batch.drain(..) {
                        self.put(outgoing);
                    }
                }
            }
        }
    }

    fn put(&mut self, outgoing: Outgoing) {
        if !self.merging.put(outgoing) {
            self.parts.counters.coalesced.one();
        }
    }

    /// Puts a hint on its way, unless it is worthless by now.
    fn publish(&mut self, runway: &Runway, outgoing: Outgoing) -> Option<Flight> {
        if outgoing.since.elapsed() >= self.parts.settings.message_ttl {
            self.merging.landed(&outgoing.wake.agent);
            self.parts.counters.dropped.add(outgoing.hint_count as usize);
            return None;
        }
        self.last_id += 1;
        self.parts.counters.published.one();
        let queue = self.parts.settings.queue(&outgoing.wake.agent);
        let flight = runway.publish(queue, &outgoing, Sent::Wake(self.last_id));
        self.flying.insert(self.last_id, outgoing);
        Some(flight)
    }

    /// Sends the publisher's own proof, or judges that it is missing. A blocked connection is kept: it is the broker that
    /// has no room, and a new connection would not find any.
    fn prove(&mut self, runway: &Runway, due: &Due) -> Result<Option<Flight>, Trouble> {
        match due {
            Due::Send if self.proving => Ok(None),
            Due::Send => {
                self.proving = true;
                Ok(Some(runway.prove(String::new(), Sent::Own)))
            }
            // Waiting on would keep a dispatcher that was closed.
            Due::Missed if runway.link.is_blocked() && !self.parts.outbox.is_closed() => {
                self.parts
                    .leg
                    .failed("the broker takes no messages: it is short of memory or disk");
                Ok(None)
            }
            Due::Missed => Err(Trouble::Lost("the broker confirms nothing")),
        }
    }

    /// Deals with a confirm, and answers with the message that came back with it. That need not be the one confirmed: the
    /// client hands a returned message to whichever confirm comes next.
    fn land(
        &mut self,
        sent: Sent,
        confirmation: Confirmation,
        proof: &mut Proof,
    ) -> Option<BasicReturnMessage> {
        let taken = !confirmation.is_nack();
        let message = confirmation.take_message();
        match sent {
            Sent::Own => {
                self.proving = false;
                proof.arrived();
                self.parts.leg.proven();
            }
            // The source may be gone.
            Sent::Proof(asker) => drop(asker.send(())),
            Sent::Wake(id) => {
                if let Some(outgoing) = self.flying.remove(&id) {
                    self.merging.landed(&outgoing.wake.agent);
                    match (&message, taken) {
                        (None, true) => self.parts.counters.confirmed.one(),
                        (None, false) => self.retry(outgoing),
                        (Some(_), _) => {}
                    }
                }
            }
        }
        message
    }

    /// Declares the queues that were missing, also for what comes back meanwhile, and sends their hints again.
    async fn heal(
        &mut self,
        runway: &Runway,
        first: BasicReturnMessage,
        flights: &mut FuturesUnordered<Flight>,
        proof: &mut Proof,
    ) -> Result<(), Trouble> {
        let mut returned = vec![first];
        while let Some(Some((sent, landed))) = futures::FutureExt::now_or_never(flights.next()) {
            returned.extend(self.land(sent, landed?, proof));
        }
        self.parts.counters.returned.add(returned.len());
        let settings = Arc::clone(&self.parts.settings);
        let agents: BTreeSet<_> =
            returned.iter().filter_map(|it| settings.agent(it.routing_key.as_str())).collect();
        for agent in agents {
            let declared =
                timeout(settings.connect_timeout, runway.link.declare(&settings, &agent));
            declared.await.map_err(|_| Trouble::Lost("declaring a queue hangs"))??;
        }
        for message in returned {
            let agent = settings.agent(message.routing_key.as_str());
            let wake = agent.and_then(|it| body::decode(it, &message.data, &message.properties));
            let attempt = body::attempt(&message.properties);
            match wake {
                Some((wake, hint_count)) => {
                    self.retry(Outgoing { wake, hint_count, attempt, since: Instant::now() });
                }
                None => self.parts.counters.dropped.one(),
            }
        }
        Ok(())
    }

    fn retry(&mut self, outgoing: Outgoing) {
        let attempt = outgoing.attempt.saturating_add(1);
        if attempt < TRIES {
            self.put(Outgoing { attempt, ..outgoing });
        } else {
            self.parts.counters.dropped.add(outgoing.hint_count as usize);
        }
    }

    /// Takes back what a lost connection left unconfirmed.
    fn recall(&mut self) {
        self.merging.all_landed();
        for (_, outgoing) in std::mem::take(&mut self.flying) {
            self.retry(outgoing);
        }
    }

    fn give_up_rest(&mut self) {
        self.parts.outbox.close();
        let flying = self.flying.values().map(|outgoing| outgoing.hint_count as usize);
        let mut left = flying.sum::<usize>() + self.merging.hints();
        while self.parts.outbox.try_recv().is_ok() {
            left += 1;
        }
        self.parts.counters.dropped.add(left);
    }
}
