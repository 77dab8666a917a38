//! A stream of events as a stream of messages. The reader sets the pace: a message is made when the connection takes it. A reader that
//! takes nothing is given up by the server, as with every answer on HTTP/2.

use super::super::answer::unwritable;
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

/// Messages until the stream ends, or fails.
pub type Frames<R> = BoxStream<'static, Result<R, Status>>;

/// The events of a stream as messages. One that cannot be written is the last.
pub fn begin<R: Send + 'static>(
    events: EventStream,
    write: impl Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError> + Send + 'static,
    dialect: Dialect,
    request_id: String,
) -> Frames<R> {
    let span = Span::current();
    let source = Source { events, write, broken: false };
    stream::unfold(source, move |mut source| {
        let request_id = request_id.clone();
        async move {
            let message = source.next().await?;
            let message = message.map_err(|why| status(dialect, &unwritable(&why, request_id)));
            Some((message, source))
        }
        .instrument(span.clone())
    })
    .boxed()
}

struct Source<W> {
    events: EventStream,
    write: W,
    broken: bool,
}

impl<W> Source<W> {
    /// The next message; `None` at the end.
    async fn next<R>(&mut self) -> Option<Result<R, WireError>>
    where
        W: Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError>,
    {
        if self.broken {
            return None;
        }
        let frame = self.events.next().await?;
        let message = (self.write)(&*frame.event()?, Some(frame.cursor));
        self.broken = message.is_err();
        Some(message)
    }
}
