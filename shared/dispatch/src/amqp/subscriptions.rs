//! The consumers of one source, one per agent, on one channel.
//!
//! Guarantee: after [`Subscriptions::cancel_all`], all unread messages are back at the broker. A
//! crash returns them with the connection.

use std::collections::{BTreeMap, BTreeSet};

use futures::{
    StreamExt,
    future::join_all,
    stream::{BoxStream, SelectAll, once},
};
use lapin::{
    Channel,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions},
    types::{FieldTable, ShortString},
};
use longhaul_domain::AgentName;

use super::{
    connection::{AmqpError, BrokerConnection},
    options::AmqpOptions,
};

/// An event of a consumer.
pub(super) enum ConsumerEvent {
    /// A message.
    Message(Box<Delivery>),
    /// The channel or the connection failed.
    Failed(lapin::Error),
    /// The consumer has ended. Unless it was cancelled, its queue was deleted or is moving.
    Ended(ShortString),
}

/// The consumers of a source.
pub(super) struct Subscriptions {
    channel: Channel,
    streams: SelectAll<BoxStream<'static, (AgentName, ConsumerEvent)>>,
    consumers: BTreeMap<AgentName, AgentConsumer>,
    // Agents whose queue was declared. If it was deleted since, consuming fails and the next
    // connection declares it again.
    declared: BTreeSet<AgentName>,
}

struct AgentConsumer {
    tag: ShortString,
    // A message arrived since the last check.
    received: bool,
    // At the last check, messages waited although none arrived and none was unsettled.
    starved: bool,
}

impl Subscriptions {
    pub(super) fn new(channel: Channel) -> Self {
        let (streams, consumers) = (SelectAll::new(), BTreeMap::new());
        Self { channel, streams, consumers, declared: BTreeSet::new() }
    }

    /// Starts to consume the queue of an agent, and declares it first if necessary.
    pub(super) async fn subscribe(
        &mut self,
        connection: &BrokerConnection,
        options: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), AmqpError> {
        if !self.declared.contains(agent) {
            connection.declare_queue(options, agent).await?;
            self.declared.insert(agent.clone());
        }
        let (queue, consume) = (options.queue_name(agent).into(), BasicConsumeOptions::default());
        let consumer =
            self.channel.basic_consume(queue, "".into(), consume, FieldTable::default()).await?;
        let tag = consumer.tag();
        let entry = AgentConsumer { tag: tag.clone(), received: false, starved: false };
        self.consumers.insert(agent.clone(), entry);
        let (name, last) = (agent.clone(), agent.clone());
        let messages = consumer.map(move |message| {
            let event = match message {
                Ok(message) => ConsumerEvent::Message(Box::new(message)),
                Err(error) => ConsumerEvent::Failed(error),
            };
            (name.clone(), event)
        });
        // `SelectAll` drops finished streams silently: report the end as an event.
        let end = once(async move { (last, ConsumerEvent::Ended(tag)) });
        self.streams.push(messages.chain(end).boxed());
        Ok(())
    }

    /// Forgets that the queue of an agent was declared, after it was deleted.
    pub(super) fn forget_queue(&mut self, agent: &AgentName) {
        self.declared.remove(agent);
    }

    /// Tells whether no consumer is left that may still yield events.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Tells whether the queue of an agent is consumed.
    pub(super) fn is_subscribed(&self, agent: &AgentName) -> bool {
        self.consumers.contains_key(agent)
    }

    /// Removes an ended consumer and tells whether it was still wanted.
    pub(super) fn take_lost(&mut self, agent: &AgentName, tag: &ShortString) -> bool {
        let wanted = self.consumers.get(agent).is_some_and(|current| current.tag == *tag);
        if wanted {
            self.consumers.remove(agent);
            self.declared.remove(agent);
        }
        wanted
    }

    /// Cancels the consumer of an agent. Messages that have arrived still follow, then
    /// [`ConsumerEvent::Ended`].
    pub(super) async fn cancel(&mut self, agent: &AgentName) -> Result<(), AmqpError> {
        if let Some(AgentConsumer { tag, .. }) = self.consumers.remove(agent) {
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
        }
        Ok(())
    }

    /// The next event; `None` if nothing is consumed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(AgentName, ConsumerEvent)> {
        let (agent, event) = self.streams.next().await?;
        if let Some(consumer) = self.consumers.get_mut(&agent) {
            consumer.received = true;
        }
        Some((agent, event))
    }

    /// Checks that the queues still have their consumers. `has_unsettled` is set while any delivery
    /// is unsettled.
    ///
    /// The broker may forget a consumer without notice: deleting a quorum queue that never held a
    /// message does not end its consumers, and a queue declared again at once may hold messages
    /// back for a consumer that is gone. A consumer whose queue is missing or has no consumers is
    /// cancelled, so that [`ConsumerEvent::Ended`] follows. Messages that wait during two checks
    /// while the consumer receives none are an error: reconnect.
    pub(super) async fn check(
        &mut self,
        connection: &BrokerConnection,
        options: &AmqpOptions,
        has_unsettled: bool,
    ) -> Result<(), AmqpError> {
        for (agent, consumer) in &mut self.consumers {
            let queue = connection.inspect_queue(options, agent).await?;
            let Some(queue) = queue.filter(|queue| queue.consumers > 0) else {
                let tag = consumer.tag.clone();
                self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
                continue;
            };
            let starved = queue.ready > 0 && !consumer.received && !has_unsettled;
            if starved && consumer.starved {
                return Err(AmqpError::Lost("a queue keeps its messages back"));
            }
            *consumer = AgentConsumer { tag: consumer.tag.clone(), received: false, starved };
        }
        Ok(())
    }

    /// Cancels all consumers and requeues the messages that have arrived.
    pub(super) async fn cancel_all(&mut self) -> Result<(), AmqpError> {
        for (_, AgentConsumer { tag, .. }) in std::mem::take(&mut self.consumers) {
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
        }
        let mut arrived = Vec::new();
        // The cancel ends every stream.
        while let Some((_, event)) = self.streams.next().await {
            match event {
                ConsumerEvent::Message(message) => arrived.push(message),
                ConsumerEvent::Failed(error) => return Err(error.into()),
                ConsumerEvent::Ended(_) => {}
            }
        }
        let requeue = BasicNackOptions { requeue: true, multiple: false };
        for requeued in join_all(arrived.iter().map(|message| message.nack(requeue))).await {
            requeued?;
        }
        Ok(())
    }
}
