//! Private Postgres servers, and the shared one of a test run.
//!
//! Guarantee: a server's files live in a temporary folder that is removed with it, even when the
//! test process is killed. `fsync` is on, so what a test commits survives [`Postgres::kill9`] as in
//! production.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, thread};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::POSTGRES_URL;
use crate::child::ChildGroup;
use crate::eventually::eventually_blocking;
use crate::passwd::User;
use crate::port::Port;
use crate::psql::{program, psql};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A private Postgres server on a free port of 127.0.0.1 that tests can stop, kill and restart.
pub struct Postgres {
    // Dropped in this order: the server is gone before its folder is.
    server: Option<ChildGroup>,
    port: Port,
    settings: Vec<String>,
    binaries: Option<PathBuf>,
    user: Option<User>,
    folder: TempDir,
}

impl Postgres {
    /// Creates a cluster and starts it.
    pub fn private() -> Self {
        Self::private_with(&[])
    }

    /// [`Postgres::private`] with more settings, such as `("synchronous_commit", "off")`.
    pub fn private_with(settings: &[(&str, &str)]) -> Self {
        Self::private_with_binaries(None, settings)
    }

    /// [`Postgres::private_with`] using the binaries in this folder.
    pub fn private_with_binaries(binaries: Option<&Path>, settings: &[(&str, &str)]) -> Self {
        let mut postgres = Self::unstarted(binaries, settings);
        postgres.init();
        postgres.start();
        postgres
    }

    /// [`Postgres::private`] with TLS, using this key and certificate.
    pub fn private_with_tls(key: &Path, certificate: &Path) -> Self {
        let mut postgres = Self::unstarted(None, &[("ssl", "on")]);
        for (setting, file, from) in
            [("ssl_key_file", "tls.key", key), ("ssl_cert_file", "tls.pem", certificate)]
        {
            let place = postgres.folder.path().join(file);
            fs::copy(from, &place).expect("key and certificate are readable");
            fs::set_permissions(&place, Permissions::from_mode(0o600)).expect("it is ours");
            if let Some(user) = postgres.user {
                user.own(&place);
            }
            postgres.settings.push(format!("{setting}={}", place.display()));
        }
        postgres.init();
        postgres.start();
        postgres
    }

    /// Requires a password from every user but `postgres` from now on.
    pub fn require_passwords(&self) {
        let rules =
            "local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).expect("our folder is writable");
        self.sql("select pg_reload_conf()");
    }

    /// A read-only standby of a running server.
    pub fn standby_of(primary: &Self) -> Self {
        let mut standby = Self::unstarted(primary.binaries.as_deref(), &[]);
        standby.settings.clone_from(&primary.settings);
        let mut copy = standby.command("pg_basebackup");
        copy.arg("-D").arg(standby.data()).args(["-X", "stream", "-c", "fast", "--no-sync"]);
        let output = copy.args(["-d", &primary.url()]).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run pg_basebackup: {error}"));
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pg_basebackup failed: {problem}");
        standby.start_as_standby_of(primary);
        standby
    }

    /// Starts this stopped server as a standby of another.
    pub fn start_as_standby_of(&mut self, primary: &Self) {
        let signal = self.data().join("standby.signal");
        File::create(&signal).expect("our folder is writable");
        if let Some(user) = self.user {
            user.own(&signal);
        }
        let (host, port) = ("127.0.0.1", primary.port.number());
        self.settings.retain(|setting| !setting.starts_with("primary_conninfo="));
        self.settings.push(format!("primary_conninfo=host={host} port={port} user=postgres"));
        self.start();
    }

    /// Waits until this standby has replayed everything that the primary has written.
    pub fn await_caught_up(&self, primary: &Self) {
        let target = primary.sql("select pg_current_wal_lsn()");
        let reached = format!("select pg_last_wal_replay_lsn() >= '{target}'");
        eventually_blocking(START_LIMIT, "the standby has caught up", || {
            match self.try_sql(&reached).as_deref() {
                Ok("t") => Ok(()),
                other => Err(format!("{other:?}; its log: {}", self.log())),
            }
        });
    }

    fn unstarted(binaries: Option<&Path>, settings: &[(&str, &str)]) -> Self {
        let user = User::for_servers();
        let folder =
            TempDir::with_prefix("longhaul-pg-").expect("the temporary folder is writable");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700))
            .expect("the folder is ours");
        if let Some(user) = user {
            user.own(folder.path());
        }
        let settings = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let binaries = binaries.map(Path::to_owned);
        let port = Port::reserve();
        Self { server: None, port, settings, binaries, user, folder }
    }

    /// [`Postgres::private`] with a clock that [`shift_clock`](Self::shift_clock) can move.
    pub fn private_with_clock() -> Self {
        let mut postgres = Self::private();
        postgres.stop_fast();
        postgres.shift_clock(0);
        postgres.start();
        postgres
    }

    /// Sets the clock of a [`Postgres::private_with_clock`] to this many seconds before or after
    /// the real time. The machine's clock is not changed.
    pub fn shift_clock(&self, seconds: i64) {
        // Renamed into place, so that no process reads a partial file.
        let new = self.folder.path().join("clock.new");
        fs::write(&new, format!("{seconds:+}\n")).expect("our folder is writable");
        fs::set_permissions(&new, Permissions::from_mode(0o644)).expect("the file is ours");
        fs::rename(&new, self.clock_path()).expect("our folder is writable");
    }

    fn clock_path(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Starts a stopped server on the same port and data, and returns when it answers queries.
    pub fn start(&mut self) {
        assert!(self.server.is_none(), "this Postgres runs already");
        // After a kill, the last backends may hold the shared memory briefly, and the server
        // refuses to start.
        eventually_blocking(START_LIMIT, "Postgres starts", || self.try_start());
    }

    /// Stops the server like a crash, but notifies its clients (`SIGQUIT`). The next start replays
    /// the log.
    pub fn stop_immediate(&mut self) {
        self.stop(Signal::QUIT);
    }

    /// Shuts the server down cleanly, disconnecting its clients (`SIGINT`).
    pub fn stop_fast(&mut self) {
        self.stop(Signal::INT);
    }

    /// Kills the server's main process; its backends notice and exit.
    pub fn kill9(&mut self) {
        self.stop(Signal::KILL);
    }

    /// Freezes the server's main process: established connections live on, new ones hang.
    pub fn sigstop(&self) {
        self.running().freeze();
    }

    /// Resumes after [`Postgres::sigstop`].
    pub fn sigcont(&self) {
        self.running().signal(Signal::CONT);
    }

    /// The address of the maintenance database, as superuser.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.port.address())
    }

    /// Runs SQL on the maintenance database, as [`Database::sql`](crate::Database::sql).
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// [`Postgres::sql`] that returns the server's message on an error, also when it is
    /// unreachable.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        psql(&self.url(), sql)
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The process id of the server's main process.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// The server's whole log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn running(&self) -> &ChildGroup {
        self.server.as_ref().expect("this Postgres is stopped")
    }

    fn stop(&mut self, signal: Signal) {
        let server = self.server.take().expect("this Postgres is stopped already");
        server.signal(signal);
        assert!(
            server.wait_exit(STOP_LIMIT).is_some(),
            "Postgres did not end within {STOP_LIMIT:?}:\n{}",
            self.log()
        );
    }

    fn init(&self) {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let output = initdb.output().unwrap_or_else(|error| panic!("cannot run initdb: {error}"));
        assert!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn try_start(&mut self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("our folder is writable");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.number().to_string()]);
        for setting in ["fsync=on", "max_connections=300", "logging_collector=off", "timezone=UTC"]
        {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let server = ChildGroup::spawn(&mut command, Some(self.folder.path()));
        let url = self.url();
        eventually_blocking(START_LIMIT, "Postgres answers a query or ends", || {
            match server.try_exit() {
                Some(_) => Ok(Err(())),
                None => psql(&url, "select 1").map(|_| Ok(())),
            }
        })
        .map_err(|()| format!("it ended; its log: {}", self.log()))?;
        self.server = Some(server);
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let program = self.binaries.as_ref().map_or_else(|| program(name), |of| of.join(name));
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some(user) = self.user {
            user.apply_to(&mut command);
        }
        if name == "postgres" && self.clock_path().exists() {
            command
                .env("LD_PRELOAD", faked_clock())
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_path())
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("postgres.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the private Postgres's log\n{}", self.log());
        }
        if let Some(server) = self.server.take() {
            // Lets the backends go too; a server that does not heed is killed by its own drop.
            server.signal(Signal::QUIT);
            let _ = server.wait_exit(STOP_LIMIT);
        }
    }
}

/// The library that fakes a process's clock: Debian's package `faketime`, installed by
/// `tests/prepare`.
fn faked_clock() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let mut found = libraries.filter(|library| library.exists());
    found.next().expect("libfaketime is installed: run tests/prepare")
}

/// The folder of the programs that [`Postgres::private`] runs.
pub fn binaries() -> PathBuf {
    let postgres = program("postgres");
    postgres.parent().map(Path::to_owned).unwrap_or_default()
}

/// The address of the server that all tests of this run share. Never stop it; use
/// [`Postgres::private`] for that.
pub fn shared_url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    URL.get_or_init(|| {
        env::var(POSTGRES_URL).unwrap_or_else(|_| SERVER.get_or_init(Postgres::private).url())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Postgres;
    use crate::Database;

    #[test]
    fn commits_survive_a_kill_and_an_immediate_stop() {
        let mut postgres = Postgres::private_with(&[("work_mem", "5MB")]);
        let database = Database::create_on(&postgres);
        assert_eq!(database.sql("show work_mem") + &database.sql("show fsync"), "5MBon");
        database.sql("create table t (n int); insert into t values (7)");

        postgres.kill9();
        database.try_sql("select 1").expect_err("a killed server answers nobody");
        postgres.start();
        assert_eq!(database.sql("select n from t"), "7");

        postgres.stop_immediate();
        postgres.start();
        assert_eq!(database.sql("select n from t"), "7");
    }

    #[test]
    fn a_dropped_server_leaves_neither_process_nor_files() {
        let postgres = Postgres::private();
        let (folder, pid) = (postgres.folder.path().to_owned(), postgres.pid());
        drop(postgres);
        assert!(!folder.exists(), "{} is left", folder.display());
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left");
    }
}
