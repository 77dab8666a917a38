//! The stacks that are measured: everything in one process on SQLite, or API node and worker on Postgres and RabbitMQ.

use longhaul_tests::{
    Broker, Database, Postgres, RabbitMq,
    port::Port,
    process::{Launch, Longhaul},
};
use std::{fs, time::Duration};
use tempfile::TempDir;

/// Which stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `longhaul dev`: one process, SQLite.
    Embedded,
    /// One API node, one worker, Postgres and RabbitMQ.
    Distributed,
}

impl Mode {
    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

/// The agents: `echo` is measured, `script` streams.
const SETTINGS: &str = r#"
[server]
default_agent = "echo"

[worker]
concurrency = 256

[log]
filter = "warn"

[[agent]]
name = "echo"
executor = "echo"

[[agent]]
name = "script"
executor = "script"
"#;

/// A running stack. Fields are dropped in order: processes before the servers that they use.
pub struct Stack {
    pub mode: Mode,
    pub base: String,
    processes: Vec<Longhaul>,
    pub database: Option<Database>,
    servers: Option<(RabbitMq, Postgres)>,
    /// Reserved until the stack ends.
    ports: Vec<Port>,
    folder: TempDir,
}

impl Stack {
    /// Starts a stack and waits until it is ready.
    pub async fn start(mode: Mode) -> Self {
        let folder =
            TempDir::with_prefix("longhaul-bench-").expect("the temporary folder is writable");
        fs::write(folder.path().join("longhaul.toml"), SETTINGS).expect("our folder is writable");
        let port = Port::reserve();
        let base = format!("http://{}", port.address());
        let mut stack = Self {
            mode,
            base,
            processes: Vec::new(),
            database: None,
            servers: None,
            ports: vec![port],
            folder,
        };
        match mode {
            Mode::Embedded => stack.start_embedded(),
            Mode::Distributed => stack.start_distributed().await,
        }
        stack.processes[0].wait_ready(&stack.base).await;
        stack
    }

    fn start_embedded(&mut self) {
        let address = self.address().to_owned();
        let dev = self.longhaul(&["dev", "--listen", &address, "--data", "data"], &[]);
        self.processes.push(dev);
    }

    async fn start_distributed(&mut self) {
        let postgres = Postgres::private_with(&[
            ("synchronous_commit", "on"),
            ("fsync", "on"),
            ("shared_buffers", "256MB"),
            ("max_wal_size", "4GB"),
        ]);
        let rabbit = RabbitMq::private();
        let database = Database::create_on(&postgres);
        let prefix = Broker::on(&rabbit).prefix().to_owned();
        let (url, amqp) = (database.url(), rabbit.url());
        let env = [
            ("LONGHAUL_DATABASE_URL", url.as_str()),
            ("LONGHAUL_AMQP_URL", amqp.as_str()),
            ("LONGHAUL_AMQP_PREFIX", &prefix),
            ("LONGHAUL_AUTH_MODE", "none"),
        ];
        self.longhaul(&["migrate"], &env).wait_exit(Duration::from_secs(60));
        let address = self.address().to_owned();
        let api = self.longhaul(&["api", "--listen", &address], &env);
        let worker_port = Port::reserve();
        let worker_address = worker_port.address();
        let mut worker_env = env.to_vec();
        worker_env.push(("LONGHAUL_WORKER_LISTEN", &worker_address));
        let worker = self.longhaul(&["worker"], &worker_env);
        worker.wait_ready(&format!("http://{worker_address}")).await;
        self.ports.push(worker_port);
        self.processes = vec![api, worker];
        self.database = Some(database);
        self.servers = Some((rabbit, postgres));
    }

    fn longhaul(&self, arguments: &[&str], env: &[(&str, &str)]) -> Longhaul {
        let launch = Launch::longhaul(arguments).current_dir(self.folder.path());
        env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start()
    }

    fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Versions and settings, for the head of the report.
    pub fn versions(&self) -> String {
        match &self.database {
            None => "embedded: SQLite, WAL, synchronous=FULL, one process".to_owned(),
            Some(database) => {
                let servers = if self.servers.is_some() { "RabbitMQ quorum queues" } else { "" };
                format!(
                    "distributed: Postgres {}, synchronous_commit={}, {servers}, 1 API node, 1 worker",
                    database.sql("show server_version"),
                    database.sql("show synchronous_commit"),
                )
            }
        }
    }

    /// Resident memory of each of the stack's own processes, in MiB.
    pub fn resident_mib(&self) -> Vec<f64> {
        self.processes.iter().map(|process| resident_of(process.pid())).collect()
    }

    /// CPU seconds that the stack's own processes have used.
    pub fn cpu_seconds(&self) -> f64 {
        self.processes.iter().map(|process| cpu_of(process.pid())).sum()
    }
}

/// Resident memory of a process, in MiB.
fn resident_of(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// User and system time of a process, in seconds.
fn cpu_of(pid: u32) -> f64 {
    /// Clock ticks a second on Linux.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the numbers follow it.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}
