//! A private PgBouncer in front of a Postgres server.

use std::fs;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::child::ChildGroup;
use crate::eventually::eventually_blocking;
use crate::passwd::User;
use crate::paths;
use crate::port::Port;
use crate::psql::psql;

const START_LIMIT: Duration = Duration::from_secs(30);

/// Pooling mode of PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// A server connection for each client session.
    Session,
    /// A server connection for each transaction.
    Transaction,
}

/// A pooler on a free port of 127.0.0.1, with default settings: no startup parameter is ignored.
pub struct PgBouncer {
    // Dropped in this order: the process is gone before its folder is.
    _process: ChildGroup,
    port: Port,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts a pooler for the server at `127.0.0.1:PORT` and waits until it serves the database
    /// `name`.
    pub fn before(server: &str, name: &str, mode: PoolMode) -> Self {
        let folder = TempDir::with_prefix("longhaul-pgbouncer-").expect("a writable folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let port = Port::reserve();
        let config = folder.path().join("pgbouncer.ini");
        fs::write(&config, configuration(server, port.number(), mode)).expect("it is ours");
        let log = File::create(folder.path().join("log")).expect("it is ours");
        let mut command = Command::new(program());
        command.arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        // It refuses to run as root.
        if let Some(user) = User::for_servers() {
            user.apply_to(&mut command);
        }
        let process = ChildGroup::spawn(&mut command, Some(folder.path()));
        let bouncer = Self { _process: process, port, _folder: folder };
        let url = format!("postgres://postgres@{}/{name}", bouncer.address());
        eventually_blocking(START_LIMIT, "PgBouncer leads to the server", || {
            psql(&url, "select 1")
        });
        bouncer
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }
}

fn program() -> PathBuf {
    let found = paths::program("pgbouncer", &[Path::new("/usr/sbin").to_owned()]);
    found.expect("there is no pgbouncer: ./tests/prepare installs it")
}

fn configuration(server: &str, port: u16, mode: PoolMode) -> String {
    let (host, server_port) = server.split_once(':').expect("an address and port");
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    };
    format!(
        "[databases]\n* = host={host} port={server_port} user=postgres\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n\
         pool_mode = {mode}\ndefault_pool_size = 60\nmax_client_conn = 500\n"
    )
}
