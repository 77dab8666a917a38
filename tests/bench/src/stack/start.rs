//! Starting a stack.

use super::{Mode, Plan, Process, Role, Servers, Stack, plan::CONFIG, route::Routed};
use crate::meter::{Watch, statements};
use longhaul_tests::{
    Broker, Database, Postgres, RabbitMq,
    child::Exit,
    port::Port,
    process::{Launch, Longhaul},
};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

/// How long the migrations may take.
const MIGRATE_LIMIT: Duration = Duration::from_secs(60);

/// Starts everything and waits until it is ready.
pub async fn start(plan: Plan) -> Stack {
    let folder = TempDir::with_prefix("longhaul-bench-").expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), CONFIG).expect("our folder is writable");
    match plan.mode {
        Mode::Embedded => embedded(&plan, folder).await,
        Mode::Distributed => distributed(&plan, folder).await,
    }
}

async fn embedded(plan: &Plan, folder: TempDir) -> Stack {
    let port = Port::reserve();
    let arguments = ["dev", "--listen", &port.address(), "--data", "data"];
    let dev = process(plan, folder.path(), Role::Dev, "dev".to_owned(), &port, &arguments, &[]);
    dev.running.wait_ready(&dev.base).await;
    Stack {
        mode: Mode::Embedded,
        processes: vec![dev],
        database: None,
        watch: None,
        profiled: false,
        servers: None,
        _routed: None,
        _ports: vec![port],
        _folder: folder,
    }
}

async fn distributed(plan: &Plan, folder: TempDir) -> Stack {
    let postgres = postgres(plan);
    let rabbit = RabbitMq::private();
    let database = Database::create_on(&postgres);
    let profiled = plan.statements && statements::available(plan.binaries.as_deref());
    if profiled {
        database.sql("create extension pg_stat_statements");
    } else if plan.statements {
        eprintln!("{}", statements::MISSING);
    }
    let url = database.url();
    let env = [("LONGHAUL_DATABASE_URL", url.as_str())];
    let exit = run(folder.path(), &["migrate"], &env).wait_exit(MIGRATE_LIMIT);
    assert_eq!(exit, Exit::Code(0), "the migrations failed");
    let routed = Routed::new(plan.route, (&postgres, &database), (&rabbit, Broker::on(&rabbit)));
    let (mut processes, mut ports) = (Vec::new(), Vec::new());
    // Workers first: an API node without a registered agent has no card yet.
    let roles = [(Role::Worker, plan.workers), (Role::Api, plan.nodes)];
    for (role, count) in roles {
        for number in 1..=count {
            let port = Port::reserve();
            let one = member(plan, folder.path(), role, number, &port, &database, &routed);
            one.running.wait_ready(&one.base).await;
            processes.push(one);
            ports.push(port);
        }
    }
    let watch = Watch::connect(&database.url()).await;
    Stack {
        mode: Mode::Distributed,
        processes,
        database: Some(database),
        watch: Some(watch),
        profiled,
        servers: Some(Servers { rabbit, postgres }),
        _routed: Some(routed),
        _ports: ports,
        _folder: folder,
    }
}

/// One API node or worker, with a role of its own in Postgres.
fn member(
    plan: &Plan,
    folder: &Path,
    role: Role,
    number: usize,
    port: &Port,
    database: &Database,
    routed: &Routed,
) -> Process {
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
    plan: &Plan,
    folder: &Path,
    role: Role,
    name: String,
    port: &Port,
    arguments: &[&str],
    env: &[(&str, &str)],
) -> Process {
    let mut arguments = arguments.to_vec();
    arguments.extend(plan.settings.iter().flat_map(|setting| ["--set", setting]));
    let running = run(folder, &arguments, env);
    Process { role, name, base: format!("http://{}", port.address()), user: String::new(), running }
}

fn run(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Longhaul {
    let launch = Launch::longhaul(arguments).current_dir(folder);
    env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start()
}

/// Starts a Postgres of its own, with the settings of the plan.
pub fn postgres(plan: &Plan) -> Postgres {
    let binaries = plan.binaries.as_deref();
    let mut settings: Vec<(&str, &str)> =
        plan.postgres.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let members = (plan.nodes + plan.workers) * 40 + 60;
    let connections = members.max(300).to_string();
    settings.push(("max_connections", &connections));
    if plan.statements && statements::available(binaries) {
        settings.push(("shared_preload_libraries", statements::MODULE));
    }
    Postgres::private_of(binaries, &settings)
}
