//! The consumers of one source, one per agent, on one channel.
//!
//! Guarantee: after [`Lines::stop`] everything that the broker had sent to them is handed back. A crash hands it back with
//! the connection.

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
    link::{Link, Trouble},
    settings::AmqpOptions,
};

/// What comes over the lines.
pub(super) enum Line {
    /// A message.
    Message(Box<Delivery>),
    /// The channel or the connection failed.
    Failed(lapin::Error),
    /// This consumer has ended. Where nobody ended it, its queue is gone, or moves.
    Ended(ShortString),
}

/// The consumers.
pub(super) struct Lines {
    channel: Channel,
    streams: SelectAll<BoxStream<'static, (AgentName, Line)>>,
    subscribed: BTreeMap<AgentName, Subscription>,
    /// Agents whose queue was there. Where it has gone since, consuming it fails, and the next connection makes it anew.
    declared: BTreeSet<AgentName>,
}

struct Subscription {
    tag: ShortString,
    /// Whether anything came since the last check.
    heard: bool,
    /// Whether, at the last check, messages waited although nothing came and nothing was held.
    starved: bool,
}

impl Lines {
    pub(super) fn new(channel: Channel) -> Self {
        let (streams, subscribed) = (SelectAll::new(), BTreeMap::new());
        Self { channel, streams, subscribed, declared: BTreeSet::new() }
    }

    /// Begins to consume the queue of an agent, which is made if it is missing.
    pub(super) async fn start(
        &mut self,
        link: &Link,
        settings: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), Trouble> {
        if !self.declared.contains(agent) {
            link.declare(settings, agent).await?;
            self.declared.insert(agent.clone());
        }
        let (queue, options) = (settings.queue(agent).into(), BasicConsumeOptions::default());
        let consumer =
            self.channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        let tag = consumer.tag();
        let subscription = Subscription { tag: tag.clone(), heard: false, starved: false };
        self.subscribed.insert(agent.clone(), subscription);
        let (name, last) = (agent.clone(), agent.clone());
        let messages = consumer.map(move |message| {
            (
                name.clone(),
                message.map_or_else(Line::Failed, |message| Line::Message(Box::new(message))),
            )
        });
        // A stream that is over vanishes silently from the set, so its end is made an item.
        self.streams.push(messages.chain(once(async move { (last, Line::Ended(tag)) })).boxed());
        Ok(())
    }

    /// The queue of this agent was thrown away.
    pub(super) fn discarded(&mut self, agent: &AgentName) {
        self.declared.remove(agent);
    }

    /// Whether anything is consumed, or has yet to end.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether the queue of this agent is consumed.
    pub(super) fn consumes(&self, agent: &AgentName) -> bool {
        self.subscribed.contains_key(agent)
    }

    /// Whether a consumer that has ended was still wanted; it is forgotten.
    pub(super) fn lost(&mut self, agent: &AgentName, tag: &ShortString) -> bool {
        let wanted = self.subscribed.get(agent).is_some_and(|current| current.tag == *tag);
        if wanted {
            self.subscribed.remove(agent);
            self.declared.remove(agent);
        }
        wanted
    }

    /// Consumes the queue of this agent no more. What has arrived still comes, and [`Line::Ended`] after it.
    pub(super) async fn end(&mut self, agent: &AgentName) -> Result<(), Trouble> {
        if let Some(Subscription { tag, .. }) = self.subscribed.remove(agent) {
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
        }
        Ok(())
    }

    /// The next item; `None` when nothing is consumed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(AgentName, Line)> {
        let (agent, line) = self.streams.next().await?;
        if let Some(subscription) = self.subscribed.get_mut(&agent) {
            subscription.heard = true;
        }
        Some((agent, line))
    }

    /// Looks whether the queues know of their consumers; `holding` tells whether any delivery is unsettled.
    ///
    /// The broker does not always tell when it has forgotten a consumer: delete a quorum queue that never held a message,
    /// and its consumers hear nothing; make it again at once, and it may keep messages for a consumer that will not get
    /// them. A consumer whose queue is gone or has none is ended, so that [`Line::Ended`] follows. Messages that wait over
    /// two looks for a consumer that hears nothing are a reason to connect anew.
    pub(super) async fn check(
        &mut self,
        link: &Link,
        settings: &AmqpOptions,
        holding: bool,
    ) -> Result<(), Trouble> {
        for (agent, subscription) in &mut self.subscribed {
            let depth = link.look(settings, agent).await?;
            let Some(depth) = depth.filter(|depth| depth.consumers > 0) else {
                let tag = subscription.tag.clone();
                self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
                continue;
            };
            let starves = depth.ready > 0 && !subscription.heard && !holding;
            if starves && subscription.starved {
                return Err(Trouble::Lost("a queue keeps its messages back"));
            }
            *subscription =
                Subscription { tag: subscription.tag.clone(), heard: false, starved: starves };
        }
        Ok(())
    }

    /// Consumes no more and hands back what has arrived.
    pub(super) async fn stop(&mut self) -> Result<(), Trouble> {
        for (_, Subscription { tag, .. }) in std::mem::take(&mut self.subscribed) {
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
        }
        let mut arrived = Vec::new();
        // Each stream ends by the cancel.
        while let Some((_, line)) = self.streams.next().await {
            match line {
                Line::Message(message) => arrived.push(message),
                Line::Failed(error) => return Err(error.into()),
                Line::Ended(_) => {}
            }
        }
        let back = BasicNackOptions { requeue: true, multiple: false };
        for handed_back in join_all(arrived.iter().map(|message| message.nack(back))).await {
            handed_back?;
        }
        Ok(())
    }
}
