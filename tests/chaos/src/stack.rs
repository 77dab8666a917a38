//! The stack of a campaign: two API nodes, three workers, a private Postgres with a standby, a
//! private RabbitMQ, and a proxy on every connection to these.

use crate::{
    plan::{API_NODES, WORKERS},
    process_slot::{ProcessConfig, ProcessRole, ProcessSlot, journals},
};
use longhaul_tests::{Broker, Database, RabbitMq, Replicas, process::ProcessBuilder};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::block_in_place;

/// Options of a stack.
#[derive(Debug, Clone, Copy)]
pub struct ChaosStackOptions {
    /// The setting `worker.lease`.
    pub lease: Duration,
}

/// A running stack.
pub struct ChaosStack {
    // Fields are dropped in this order: the processes before the servers that they use.
    /// API nodes.
    pub apis: Vec<Arc<ProcessSlot>>,
    /// Workers.
    pub workers: Vec<Arc<ProcessSlot>>,
    database: Mutex<Database>,
    broker: Arc<Mutex<RabbitMq>>,
    postgres: Arc<Mutex<Replicas>>,
}

impl ChaosStack {
    /// Starts everything and waits until it is ready. Requires a multi-threaded runtime.
    pub async fn start(folder: &Path, setup: ChaosStackOptions) -> Self {
        let (postgres, broker) = block_in_place(|| {
            std::thread::scope(|scope| {
                let postgres = scope.spawn(|| {
                    Replicas::start_with(&[("shared_buffers", "128MB"), ("max_wal_size", "2GB")])
                });
                let broker = RabbitMq::private();
                (postgres.join().expect("Postgres starts"), broker)
            })
        });
        let database = block_in_place(|| Database::create_on(&postgres.primary));
        let process_config = process_config(folder, setup, &database, &broker);
        migrate(folder, &database);
        let (postgres_at, broker_at) = (address(&database.url()), address(&broker.url()));
        let mut apis = Vec::new();
        let mut workers = Vec::new();
        for (role, count, slots) in
            [(ProcessRole::Worker, WORKERS, &mut workers), (ProcessRole::Api, API_NODES, &mut apis)]
        {
            for number in 0..count {
                let name =
                    format!("{}-{number}", if role == ProcessRole::Api { "api" } else { "worker" });
                let slot =
                    ProcessSlot::new(name, role, process_config.clone(), &postgres_at, &broker_at)
                        .await;
                slot.start().await;
                slots.push(Arc::new(slot));
            }
        }
        for slot in workers.iter().chain(&apis) {
            slot.wait_ready().await;
        }
        let (broker, postgres) = (Arc::new(Mutex::new(broker)), Arc::new(Mutex::new(postgres)));
        Self { apis, workers, database: Mutex::new(database), broker, postgres }
    }

    /// The slots of all processes.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<ProcessSlot>> {
        self.apis.iter().chain(&self.workers)
    }

    /// Locks the database servers for a fault.
    pub fn postgres(&self) -> MutexGuard<'_, Replicas> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the broker for a fault.
    pub fn broker(&self) -> MutexGuard<'_, RabbitMq> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a query on a connection without a proxy; returns its rows or an error message.
    pub fn sql(&self, sql: &str) -> Result<String, String> {
        block_in_place(|| self.database().try_sql(sql))
    }

    /// Locks the database for a query.
    pub fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn process_config(
    folder: &Path,
    setup: ChaosStackOptions,
    database: &Database,
    broker: &RabbitMq,
) -> ProcessConfig {
    fs::write(folder.join("longhaul.toml"), "").expect("our folder is writable");
    fs::create_dir_all(journals(folder)).expect("our folder is writable");
    let lease = format!("worker.lease={}ms", setup.lease.as_millis());
    let settings = [
        lease.as_str(),
        "worker.concurrency=64",
        "worker.drain=2s",
        // Poison tasks have their own tests: here no loss makes a task one.
        "worker.max_losses=1000",
        "server.drain=3s",
        "server.cancel_grace=5s",
        "server.keep_alive=1s",
        "database.max_connections=10",
        "log.format=json",
    ];
    let template = |url: &str| url.replace(&address(url), "{}");
    ProcessConfig {
        settings: settings.map(str::to_owned).to_vec(),
        database: template(&database.url()),
        broker: template(&broker.url()),
        prefix: Broker::on(broker).prefix().to_owned(),
        folder: folder.to_owned(),
        journals: journals(folder),
    }
}

fn migrate(folder: &Path, database: &Database) {
    let launch = ProcessBuilder::lab(["migrate"]).current_dir(folder);
    let process = launch.env("LONGHAUL_DATABASE_URL", database.url()).start();
    block_in_place(|| longhaul_tests::stack::expect_success(&process));
}

/// The address and port of a URL.
fn address(url: &str) -> String {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_address_is_extracted_from_both_kinds_of_urls() {
        assert_eq!(address("postgres://postgres@127.0.0.1:15000/test"), "127.0.0.1:15000");
        assert_eq!(address("amqp://guest:guest@127.0.0.1:15001/%2f"), "127.0.0.1:15001");
    }
}
