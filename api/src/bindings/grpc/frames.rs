//! Event streams as gRPC messages. The reader sets the pace: a message is made when the connection
//! takes it. A reader that takes nothing is reset by the server's write timeout.

use super::super::response::encode_failed;
use crate::service::EventStream;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use longhaul_domain::Seq;
use longhaul_proto::status;
use longhaul_wire::{Dialect, StreamEvent, WireError};
use tonic::Status;
use tracing::{Instrument, Span};

/// Messages until the stream ends or fails.
pub type MessageStream<R> = BoxStream<'static, Result<R, Status>>;

/// Encodes the events of a stream; one that cannot be encoded ends it.
pub fn encode_stream<R: Send + 'static>(
    events: EventStream,
    write: impl Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError> + Send + 'static,
    dialect: Dialect,
    request_id: String,
) -> MessageStream<R> {
    let span = Span::current();
    let source = MessageSource { events, write, failed: false };
    stream::unfold(source, move |mut source| {
        let request_id = request_id.clone();
        async move {
            let message = source.next().await?;
            let message = message.map_err(|why| status(dialect, &encode_failed(&why, request_id)));
            Some((message, source))
        }
        .instrument(span.clone())
    })
    .boxed()
}

struct MessageSource<W> {
    events: EventStream,
    write: W,
    failed: bool,
}

impl<W> MessageSource<W> {
    /// The next message; `None` at the end.
    async fn next<R>(&mut self) -> Option<Result<R, WireError>>
    where
        W: Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError>,
    {
        if self.failed {
            return None;
        }
        let frame = self.events.next().await?;
        let message = (self.write)(&*frame.event()?, Some(frame.cursor));
        self.failed = message.is_err();
        Some(message)
    }
}
