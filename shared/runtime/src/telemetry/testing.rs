//! Catches what a test logs.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Log text in memory; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What this thread logs from now on until the value is dropped.
pub(crate) struct Capture {
    captured: Captured,
    _guard: DefaultGuard,
}

impl Capture {
    pub(crate) fn text(&self) -> String {
        self.captured.text()
    }
}

pub(crate) fn captured() -> Capture {
    let captured = Captured::default();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(captured.clone()).finish();
    Capture { captured, _guard: tracing::subscriber::set_default(subscriber) }
}
