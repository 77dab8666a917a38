//! The whole: two API nodes, three workers, a Postgres with a standby and a RabbitMQ of their own, and a proxy on every way to these.

use crate::{
    place::{Place, Recipe, Role, journals},
    plan::{APIS, WORKERS},
};
use longhaul_tests::{Broker, Database, RabbitMq, Replicas, process::Launch};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::block_in_place;

/// How a stack is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// `worker.lease`.
    pub lease: Duration,
}

/// A running stack.
pub struct Stack {
    // Dropped in this order: the processes are gone before what they use.
    /// API nodes.
    pub apis: Vec<Arc<Place>>,
    /// Workers.
    pub workers: Vec<Arc<Place>>,
    database: Mutex<Database>,
    broker: Arc<Mutex<RabbitMq>>,
    postgres: Arc<Mutex<Replicas>>,
}

impl Stack {
    /// Starts everything and waits until it is ready. Needs a runtime of several threads.
    pub async fn start(folder: &Path, setup: Setup) -> Self {
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
        let recipe = recipe(folder, setup, &database, &broker);
        migrate(folder, &database);
        let (postgres_at, broker_at) = (address(&database.url()), address(&broker.url()));
        let mut apis = Vec::new();
        let mut workers = Vec::new();
        for (role, count, places) in
            [(Role::Worker, WORKERS, &mut workers), (Role::Api, APIS, &mut apis)]
        {
            for number in 0..count {
                let name = format!("{}-{number}", if role == Role::Api { "api" } else { "worker" });
                let place = Place::new(name, role, recipe.clone(), &postgres_at, &broker_at).await;
                place.start().await;
                places.push(Arc::new(place));
            }
        }
        for place in workers.iter().chain(&apis) {
            place.wait_ready().await;
        }
        let (broker, postgres) = (Arc::new(Mutex::new(broker)), Arc::new(Mutex::new(postgres)));
        Self { apis, workers, database: Mutex::new(database), broker, postgres }
    }

    /// Every process.
    pub fn places(&self) -> impl Iterator<Item = &Arc<Place>> {
        self.apis.iter().chain(&self.workers)
    }

    /// The database servers. Locked for as long as something is done to them.
    pub fn postgres(&self) -> MutexGuard<'_, Replicas> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker. Locked for as long as something is done to it.
    pub fn broker(&self) -> MutexGuard<'_, RabbitMq> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a query, over no proxy; or why there are none.
    pub fn sql(&self, sql: &str) -> Result<String, String> {
        block_in_place(|| self.database().try_sql(sql))
    }

    /// The database. Locked for as long as it is asked.
    pub fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn recipe(folder: &Path, setup: Setup, database: &Database, broker: &RabbitMq) -> Recipe {
    fs::write(folder.join("longhaul.toml"), "").expect("our folder is writable");
    fs::create_dir_all(journals(folder)).expect("our folder is writable");
    let lease = format!("worker.lease={}ms", setup.lease.as_millis());
    let settings = [
        lease.as_str(),
        "worker.concurrency=64",
        "worker.drain=2s",
        // Poison has tests of its own; here nothing is.
        "worker.max_losses=1000",
        "server.drain=3s",
        "server.cancel_grace=5s",
        "server.keep_alive=1s",
        "database.max_connections=10",
        "log.format=json",
    ];
    let template = |url: &str| url.replace(&address(url), "{}");
    Recipe {
        settings: settings.map(str::to_owned).to_vec(),
        database: template(&database.url()),
        broker: template(&broker.url()),
        prefix: Broker::on(broker).prefix().to_owned(),
        folder: folder.to_owned(),
        journals: journals(folder),
    }
}

fn migrate(folder: &Path, database: &Database) {
    let launch = Launch::longhaul(["migrate"]).current_dir(folder);
    let process = launch.env("LONGHAUL_DATABASE_URL", database.url()).start();
    block_in_place(|| longhaul_tests::stack::succeed(&process));
}

/// Address and port of a URL.
fn address(url: &str) -> String {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_found_in_both_kinds_of_url() {
        assert_eq!(address("postgres://postgres@127.0.0.1:15000/test"), "127.0.0.1:15000");
        assert_eq!(address("amqp://guest:guest@127.0.0.1:15001/%2f"), "127.0.0.1:15001");
    }
}
