//! Captures the log of a test.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// A log writer in memory; clones share the text.
#[derive(Clone, Default)]
pub(crate) struct MemoryWriter(Arc<Mutex<Vec<u8>>>);

impl MemoryWriter {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for MemoryWriter {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The log of this thread, captured until dropped.
pub(crate) struct LogCapture {
    writer: MemoryWriter,
    _guard: DefaultGuard,
}

impl LogCapture {
    pub(crate) fn text(&self) -> String {
        self.writer.text()
    }
}

/// Starts to capture the log of this thread.
pub(crate) fn capture_log() -> LogCapture {
    let writer = MemoryWriter::default();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(writer.clone()).finish();
    LogCapture { writer, _guard: tracing::subscriber::set_default(subscriber) }
}
