//! One message on its way to the broker.
//!
//! Guarantee: a flight ends with the broker's confirm or with an error; many are in the air at a time.

use std::time::Duration;

use futures::future::BoxFuture;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    body,
    link::{Link, Trouble},
    outbox::Outgoing,
};

/// What was published, for the moment at which its confirm arrives.
pub(super) enum Sent {
    /// A hint, by the publisher's number for it.
    Wake(u64),
    /// A source's proof; it is told.
    Proof(oneshot::Sender<()>),
    /// The publisher's own proof, which goes to no queue: being confirmed is what it proves.
    Own,
}

/// Ends with the confirm.
pub(super) type Flight = BoxFuture<'static, (Sent, lapin::Result<Confirmation>)>;

/// A connection with a channel that confirms.
pub(super) struct Runway {
    pub(super) link: Link,
    channel: Channel,
}

impl Runway {
    pub(super) async fn new(link: Link, limit: Duration) -> Result<Self, Trouble> {
        let opened = timeout(limit, async {
            let channel = link.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, Trouble>(channel)
        });
        let channel = opened.await.map_err(|_| Trouble::Lost("opening a channel hangs"))??;
        Ok(Self { link, channel })
    }

    /// Starts a hint, which comes back when its queue is missing.
    pub(super) fn publish(&self, queue: String, outgoing: &Outgoing, sent: Sent) -> Flight {
        let properties = body::properties(&outgoing.wake, outgoing.attempt);
        let body = body::encode(&outgoing.wake, outgoing.hint_count);
        self.start(queue, true, body, properties, sent)
    }

    /// Starts a proof. One to a queue that is gone vanishes.
    pub(super) fn prove(&self, queue: String, sent: Sent) -> Flight {
        self.start(queue, false, Vec::new(), BasicProperties::default(), sent)
    }

    fn start(
        &self,
        queue: String,
        mandatory: bool,
        body: Vec<u8>,
        properties: BasicProperties,
        sent: Sent,
    ) -> Flight {
        let channel = self.channel.clone();
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        Box::pin(async move {
            let written =
                channel.basic_publish("".into(), queue.into(), options, &body, properties).await;
            let landed = match written {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            (sent, landed)
        })
    }
}
