//! Plans of stacks, and their start.

use super::{
    process::{StackProcess, StackRole},
    route::{NetworkRoute, RoutedServers},
    running::{BenchStack, StackMode, StackServers},
};
use crate::meter::{PostgresProbe, statements};
use longhaul_tests::{
    Broker, Database, Postgres, RabbitMq,
    child::ProcessExit,
    port::Port,
    process::{ProcessBuilder, TestProcess},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The configuration file. The agent `echo` answers at once; `script` plays the script of a
/// message.
const LONGHAUL_TOML: &str = r#"
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

/// Settings of Postgres: durable, with memory for the measured tables; see `docs/performance.md`.
const POSTGRES_SETTINGS: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("fsync", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
];

/// Longest time for the migrations.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(60);

/// The plan of a stack.
#[derive(Debug, Clone)]
pub struct StackPlan {
    mode: StackMode,
    nodes: usize,
    workers: usize,
    route: NetworkRoute,
    settings: Vec<String>,
    postgres: Vec<(String, String)>,
    binaries: Option<PathBuf>,
    statements: bool,
}

impl StackPlan {
    /// One API node and one worker, or one embedded process.
    pub fn new(mode: StackMode) -> Self {
        Self {
            mode,
            nodes: 1,
            workers: 1,
            route: NetworkRoute::default(),
            settings: Vec::new(),
            postgres: POSTGRES_SETTINGS
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            binaries: None,
            statements: false,
        }
    }

    /// Sets the number of API nodes; ignored when embedded.
    #[must_use]
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets the number of workers; ignored when embedded.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the network route to Postgres and RabbitMQ.
    #[must_use]
    pub const fn route(mut self, route: NetworkRoute) -> Self {
        self.route = route;
        self
    }

    /// Adds a setting of every Longhaul process, as in `("server.max_queued", "500")`.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.set_line(&format!("{key}={value}"))
    }

    /// Adds a setting of every Longhaul process, as in `server.max_queued=500`.
    #[must_use]
    pub fn set_line(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Adds a setting of Postgres.
    #[must_use]
    pub fn postgres(mut self, key: &str, value: &str) -> Self {
        self.postgres.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Uses the Postgres with binaries in this folder.
    #[must_use]
    pub fn binaries(mut self, folder: &Path) -> Self {
        self.binaries = Some(folder.to_owned());
        self
    }

    /// Enables `pg_stat_statements`, where it is installed.
    #[must_use]
    pub const fn statements(mut self) -> Self {
        self.statements = true;
        self
    }

    /// Starts everything and waits until it is ready.
    pub async fn start(self) -> BenchStack {
        start(self).await
    }
}

async fn start(plan: StackPlan) -> BenchStack {
    let folder = TempDir::with_prefix("longhaul-bench-").expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), LONGHAUL_TOML).expect("our folder is writable");
    match plan.mode {
        StackMode::Embedded => embedded(&plan, folder).await,
        StackMode::Distributed => distributed(&plan, folder).await,
    }
}

async fn embedded(plan: &StackPlan, folder: TempDir) -> BenchStack {
    let port = Port::reserve();
    let arguments = ["dev", "--listen", &port.address(), "--data", "data"];
    let dev =
        process(plan, folder.path(), StackRole::Dev, "dev".to_owned(), &port, &arguments, &[]);
    dev.running.wait_ready(&dev.base).await;
    BenchStack {
        mode: StackMode::Embedded,
        processes: vec![dev],
        database: None,
        probe: None,
        profiled: false,
        servers: None,
        _routed: None,
        _ports: vec![port],
        _folder: folder,
    }
}

async fn distributed(plan: &StackPlan, folder: TempDir) -> BenchStack {
    let postgres = start_postgres(plan);
    let rabbit = RabbitMq::private();
    let database = Database::create_on(&postgres);
    let profiled = plan.statements && statements::available(plan.binaries.as_deref());
    if profiled {
        database.sql("create extension pg_stat_statements");
    } else if plan.statements {
        eprintln!("{}", statements::STATEMENTS_MODULE_MISSING);
    }
    let url = database.url();
    let env = [("LONGHAUL_DATABASE_URL", url.as_str())];
    let exit = run(folder.path(), &["migrate"], &env).wait_exit(MIGRATE_TIMEOUT);
    assert_eq!(exit, ProcessExit::Code(0), "the migrations failed");
    let routed =
        RoutedServers::new(plan.route, (&postgres, &database), (&rabbit, Broker::on(&rabbit)));
    let (mut processes, mut ports) = (Vec::new(), Vec::new());
    // Workers first: an API node has no card before an agent is registered.
    let roles = [(StackRole::Worker, plan.workers), (StackRole::Api, plan.nodes)];
    for (role, count) in roles {
        for number in 1..=count {
            let port = Port::reserve();
            let one = member(plan, folder.path(), role, number, &port, &database, &routed);
            one.running.wait_ready(&one.base).await;
            processes.push(one);
            ports.push(port);
        }
    }
    let probe = PostgresProbe::connect(&database.url()).await;
    BenchStack {
        mode: StackMode::Distributed,
        processes,
        database: Some(database),
        probe: Some(probe),
        profiled,
        servers: Some(StackServers { rabbit, postgres }),
        _routed: Some(routed),
        _ports: ports,
        _folder: folder,
    }
}

/// Starts an API node or a worker, with its own role in Postgres.
fn member(
    plan: &StackPlan,
    folder: &Path,
    role: StackRole,
    number: usize,
    port: &Port,
    database: &Database,
    routed: &RoutedServers,
) -> StackProcess {
    let user = format!("{}_{number}", role.name());
    database.sql(&format!("create role {user} superuser login"));
    let url = routed.database.replacen("postgres@", &format!("{user}@"), 1);
    let env = [
        ("LONGHAUL_DATABASE_URL", url.as_str()),
        ("LONGHAUL_AMQP_URL", routed.broker.url()),
        ("LONGHAUL_AMQP_PREFIX", routed.broker.prefix()),
        ("LONGHAUL_AUTH_MODE", "none"),
    ];
    let address = port.address();
    let arguments = [role.name(), "--listen", &address];
    let name = format!("{} {number}", role.name());
    let mut process = process(plan, folder, role, name, port, &arguments, &env);
    process.user = user;
    process
}

fn process(
    plan: &StackPlan,
    folder: &Path,
    role: StackRole,
    name: String,
    port: &Port,
    arguments: &[&str],
    env: &[(&str, &str)],
) -> StackProcess {
    let mut arguments = arguments.to_vec();
    arguments.extend(plan.settings.iter().flat_map(|setting| ["--set", setting]));
    let running = run(folder, &arguments, env);
    StackProcess {
        role,
        name,
        base: format!("http://{}", port.address()),
        user: String::new(),
        running,
    }
}

fn run(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> TestProcess {
    let launch = ProcessBuilder::lab(arguments).current_dir(folder);
    env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start()
}

/// Starts a private Postgres with the settings of the plan.
pub fn start_postgres(plan: &StackPlan) -> Postgres {
    let binaries = plan.binaries.as_deref();
    let mut settings: Vec<(&str, &str)> =
        plan.postgres.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let members = (plan.nodes + plan.workers) * 40 + 60;
    let connections = members.max(300).to_string();
    settings.push(("max_connections", &connections));
    if plan.statements && statements::available(binaries) {
        settings.push(("shared_preload_libraries", statements::STATEMENTS_MODULE));
    }
    Postgres::private_with_binaries(binaries, &settings)
}
