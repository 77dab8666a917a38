//! Free TCP ports on the loopback address that no other test can take before they are used.
//!
//! Ports come from below the kernel's range for outgoing connections. Each is reserved by a lock on
//! a file, so other test processes of this user choose another. The kernel drops the lock when the
//! process dies.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const LOWEST_PORT: u32 = 15_000;
const PORT_COUNT: u32 = 15_000;

static NEXT_PORT_OFFSET: AtomicU32 = AtomicU32::new(0);

/// A reserved port: free when chosen, and not given to another test until this value is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Self {
        let directory = lock_directory();
        // Processes start far apart, so that they rarely try the same lock file.
        let start = process::id().wrapping_mul(7919);
        for _ in 0..PORT_COUNT {
            let step = start.wrapping_add(NEXT_PORT_OFFSET.fetch_add(1, Ordering::Relaxed));
            let number =
                u16::try_from(LOWEST_PORT + step % PORT_COUNT).expect("the range ends below 65536");
            if let Some(port) = Self::try_reserve(&directory, number) {
                return port;
            }
        }
        panic!("no free TCP port between {LOWEST_PORT} and {}", LOWEST_PORT + PORT_COUNT);
    }

    fn try_reserve(directory: &std::path::Path, number: u16) -> Option<Self> {
        let lock = File::create(directory.join(number.to_string())).ok()?;
        lock.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _lock: lock })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

fn lock_directory() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let directory = std::env::temp_dir().join(format!("longhaul-test-ports-{user}"));
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
    directory
}
