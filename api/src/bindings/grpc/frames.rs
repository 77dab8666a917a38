//! A stream of events as a stream of messages. The reader sets the pace: one message is made ahead, and a reader that takes nothing is
//! given up, as everywhere on HTTP/2, where one stream of many may be neglected.

use crate::{bindings::sse::STALLED, service::EventStream};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use longhaul_domain::Seq;
use longhaul_proto::status;
use longhaul_runtime::spawn;
use longhaul_wire::{Dialect, ProtocolError, StreamEvent, WireError};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::mpsc;
use tonic::Status;
use tracing::{Instrument, Span};

/// Messages until the stream ends, or fails.
pub type Frames<R> = BoxStream<'static, Result<R, Status>>;

/// Begins to hand out the events of a stream.
pub fn begin<R: Send + 'static>(
    events: EventStream,
    write: impl Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError> + Send + 'static,
    dialect: Dialect,
    request_id: String,
) -> Frames<R> {
    let (reader, taken) = mpsc::channel(1);
    let neglected = Arc::new(AtomicBool::new(false));
    let pump = Pump { events, write, dialect, request_id, neglected: Arc::clone(&neglected) };
    spawn("stream", pump.run(reader).instrument(Span::current()));
    let rest = stream::unfold(taken, |mut taken| async {
        let message = taken.recv().await?;
        Some((message, taken))
    });
    rest.chain(stream::once(async move { neglected.load(Ordering::Acquire) }).filter_map(
        async |neglected| {
            neglected.then(|| {
                Err(Status::unavailable(
                    "The stream was not read for too long. Subscribe again with last-event-id",
                ))
            })
        },
    ))
    .boxed()
}

struct Pump<W> {
    events: EventStream,
    write: W,
    dialect: Dialect,
    request_id: String,
    neglected: Arc<AtomicBool>,
}

impl<W> Pump<W> {
    /// Hands messages to the reader until they end, or the reader is gone or does not take them.
    async fn run<R>(mut self, reader: mpsc::Sender<Result<R, Status>>)
    where
        W: Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError>,
    {
        loop {
            let message = tokio::select! {
                biased;
                () = reader.closed() => return,
                message = self.next() => message,
            };
            let Some(message) = message else { return };
            let broken = message.is_err();
            match reader.send_timeout(message, STALLED).await {
                Ok(()) if broken => return,
                Ok(()) => {}
                Err(_) => {
                    self.neglected.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    /// The next message; `None` at the end.
    async fn next<R>(&mut self) -> Option<Result<R, Status>>
    where
        W: Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError>,
    {
        let frame = self.events.next().await?;
        let event = frame.event()?;
        Some((self.write)(&event, Some(frame.cursor)).map_err(|why| {
            tracing::error!(error = %why, "an event cannot be written");
            let request_id = self.request_id.clone();
            status(self.dialect, &ProtocolError::Internal { request_id })
        }))
    }
}
