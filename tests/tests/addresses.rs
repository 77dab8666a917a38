//! Database, broker and nodes can be reached at every kind of address: over IPv6, unix sockets and
//! TLS, with names and passwords of any characters.

use std::time::Duration;

use longhaul_tests::certificates::Certificates;
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::proxy::Proxy;
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::TASK_TIMEOUT;
use longhaul_tests::{Broker, Client, Database, Postgres, RabbitMq, eventually};
use tempfile::TempDir;

/// An API node and a worker at these addresses.
struct Served {
    api: TestProcess,
    worker: TestProcess,
    base: String,
    _ports: [Port; 2],
    folder: TempDir,
}

fn launch(folder: &TempDir, arguments: &[&str], database: &str, broker: &Broker) -> ProcessBuilder {
    ProcessBuilder::lab(arguments)
        .current_dir(folder.path())
        .env("LONGHAUL_DATABASE_URL", database)
        .env("LONGHAUL_AMQP_URL", broker.url())
        .env("LONGHAUL_AMQP_PREFIX", broker.prefix())
        .env("LONGHAUL_AUTH_MODE", "none")
}

impl Served {
    /// Migrates, starts both and waits until they are ready, which requires a message from the
    /// broker.
    async fn start(host: &str, database: &str, broker: &Broker) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let toml = "[[agent]]\nname = \"echo\"\nexecutor = \"echo\"\n";
        std::fs::write(folder.path().join("longhaul.toml"), toml).expect("our folder is writable");
        expect_success(&launch(&folder, &["migrate"], database, broker).start());
        let ports = [Port::reserve(), Port::reserve()];
        let address = |port: &Port| format!("{host}:{}", port.number());
        let start = |role, port| {
            launch(&folder, &[role, "--listen", &address(port)], database, broker).start()
        };
        let worker = start("worker", &ports[0]);
        worker.wait_ready(&format!("http://{}", address(&ports[0]))).await;
        let api = start("api", &ports[1]);
        let base = format!("http://{}", address(&ports[1]));
        api.wait_ready(&base).await;
        Self { api, worker, base, _ports: ports, folder }
    }

    /// Runs a task with the command line.
    fn assert_works(&self) {
        let arguments = ["tasks", "send", "--url", &self.base, "there and back"];
        let said =
            expect_success(&ProcessBuilder::lab(arguments).current_dir(self.folder.path()).start());
        assert!(said.contains("there and back"), "{said}");
        for process in [&self.api, &self.worker] {
            let log = process.stderr();
            assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_address_may_be_of_ipv6() {
    let (database, broker) = (Database::create(), Broker::shared());
    let place = |url: &str| {
        let (_, rest) = url.split_once('@').expect("the address names a user");
        rest.split('/').next().map(str::to_owned).expect("the address names a place")
    };
    let Ok(to_database) = Proxy::at("::1", &place(&database.url())).await else {
        eprintln!("this machine has no IPv6, so this test has shown nothing");
        return;
    };
    let to_broker = Proxy::at("::1", &place(broker.url())).await.expect("it has IPv6");
    let broker = broker.through(&to_broker.address());
    let served =
        Served::start("[::1]", &database.url_through(&to_database.address()), &broker).await;
    served.assert_works();
    let card = Client::new(&served.base).get("/.well-known/agent-card.json").await;
    assert!(card.text().contains(&format!("\"{}", served.base)), "{}", card.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_may_be_at_a_unix_socket() {
    let postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let (folder, name) = (postgres.socket_folder().display(), database.name());
    let port = postgres.address().rsplit(':').next().map(str::to_owned).unwrap_or_default();
    let url = format!("postgres://postgres:unused@/{name}?host={folder}&port={port}");
    let served = Served::start("127.0.0.1", &url, &Broker::shared()).await;
    served.assert_works();
    let by_socket = "select count(*) > 0 from pg_stat_activity \
                     where application_name = 'longhaul' and client_addr is null";
    assert_eq!(database.sql(by_socket), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_ca_is_trusted_for_database_and_broker() {
    let (ours, theirs) = (Certificates::create(), Certificates::create());
    let [certificate, key] = [ours.server(), ours.key()].map(|path| path.display().to_string());
    let postgres = Postgres::private_with(&[
        ("ssl", "on"),
        ("ssl_cert_file", &certificate),
        ("ssl_key_file", &key),
    ]);
    let database = Database::create_on(&postgres);
    let place = postgres.address().replace("127.0.0.1", "localhost");
    let url = |ca: &Certificates| {
        let (name, ca) = (database.name(), ca.ca());
        format!(
            "postgres://postgres@{place}/{name}?sslmode=verify-full&sslrootcert={}",
            ca.display()
        )
    };
    let port = Port::reserve();
    let rabbitmq = RabbitMq::private_with(&format!(
        "listeners.ssl.1 = {}\nssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n\
         ssl_options.cacertfile = {}\nssl_options.verify = verify_none\n",
        port.address(),
        ours.ca().display(),
    ));
    // The names of user and virtual host use all characters; the user has the documented rights and
    // no more.
    let (user, password, host) = ("a@b:c", "p/w:#?%ü", "team a/ü");
    rabbitmq.ctl(&["add_vhost", host]);
    rabbitmq.ctl(&["add_user", user, password]);
    let [configure, write, read] = documented_rights();
    rabbitmq.ctl(&["set_permissions", "-p", host, user, &configure, &write, &read]);
    let broker = |ca: &Certificates| {
        Broker::at(
            &format!(
                "amqps://a%40b%3Ac:p%2Fw%3A%23%3F%25%C3%BC@localhost:{}/team%20a%2F%C3%BC?cacertfile={}",
                port.number(),
                ca.ca().display()
            ),
            "longhaul",
        )
    };
    let served = Served::start("127.0.0.1", &url(&ours), &broker(&ours)).await;
    served.assert_works();
    let encrypted = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) \
                     where application_name = 'longhaul'";
    assert_eq!(database.sql(encrypted), "t");

    // Another CA is rejected with a clear message.
    let folder = TempDir::new().expect("the temporary folder is writable");
    let refused = launch(&folder, &["migrate"], &url(&theirs), &broker(&ours)).start();
    let exit = refused.wait_exit(TASK_TIMEOUT);
    assert_ne!(exit, longhaul_tests::child::ProcessExit::Code(0));
    assert!(refused.stderr().contains("certificate"), "{}", refused.stderr());
    let arguments = ["worker", "--set", "worker.listen=127.0.0.1:0"];
    std::fs::copy(served.folder.path().join("longhaul.toml"), folder.path().join("longhaul.toml"))
        .expect("our folder is writable");
    let worker = launch(&folder, &arguments, &url(&ours), &broker(&theirs)).start();
    says(&worker, "`cacertfile` in amqp.url").await;

    // Without the right to publish the log says which rights are needed.
    rabbitmq.ctl(&["set_permissions", "-p", host, user, "^longhaul", "^longhaul", "^longhaul"]);
    let worker = launch(&folder, &arguments, &url(&ours), &broker(&ours)).start();
    says(&worker, r"write '^amq\\.default$'").await;
}

async fn says(process: &TestProcess, sentence: &str) {
    eventually(Duration::from_secs(60), &format!("the log says {sentence}"), async || {
        let log = process.stderr();
        if log.contains(sentence) { Ok(()) } else { Err(log) }
    })
    .await;
}

/// Permissions that `docs/operating.md` tells to grant: configure, write, read.
fn documented_rights() -> [String; 3] {
    let docs = include_str!("../../docs/operating.md");
    let line = docs.lines().find(|line| line.contains("rabbitmqctl set_permissions"));
    let line = line.expect("the docs name the command");
    let mut patterns = line.split('\'').skip(1).step_by(2).map(str::to_owned);
    std::array::from_fn(|_| patterns.next().expect("the command has three patterns"))
}
