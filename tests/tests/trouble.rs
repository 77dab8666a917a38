//! The service's dependencies fail and recover.

use std::fs;
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::ProcessBuilder;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, artifact_texts, get, id, message, return_immediately, send, start, state, stream,
    task_of, wait_for_state,
};
use longhaul_tests::{
    Broker, Client, Database, Mode, Postgres, RabbitMq, Stack, StackBuilder, eventually,
};
use serde_json::json;

/// A `longhaul.toml` with one agent, `script`.
const ONE_AGENT: &str = "[[agent]]\nname = \"script\"\nexecutor = \"script\"\n";

/// Sends a message until it is accepted. It is always the same message, so it creates one task.
async fn send_until_accepted(stack: &Stack, text: &str) -> serde_json::Value {
    let (client, params) = (stack.client(), message(text));
    let answer = eventually(TASK_TIMEOUT, "a message is taken again", async || {
        client.try_call("SendMessage", params.clone()).await
    });
    task_of(answer.await)
}

/// Waits until a write is rejected, and checks the error.
async fn assert_writes_rejected(client: &Client) {
    let body = || json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": return_immediately(message("x"))});
    let answer = eventually(TASK_TIMEOUT, "a write is turned away", async || {
        let answer = client.post("/", body().to_string()).await;
        if answer.status == 200 { Err(answer.text()) } else { Ok(answer) }
    });
    let answer = answer.await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], -32053);
    assert_eq!(error["data"][0]["reason"], "UNAVAILABLE");
}

#[test]
fn a_database_that_stays_down_is_waited_for_up_to_a_limit() {
    let nowhere = Port::reserve();
    let url = format!("postgres://postgres:hunter2@{}/x", nowhere.address());
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), ONE_AGENT).expect("our folder is writable");
    for command in ["api", "worker", "migrate", "keys list"] {
        let limit = ["--set", "database.start_timeout=2s"];
        let process = ProcessBuilder::lab(command.split(' ').chain(limit))
            .current_dir(folder.path())
            .env("LONGHAUL_DATABASE_URL", &url)
            .start();
        assert_eq!(process.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{command}");
        let said = process.stderr();
        assert!(said.contains("no Postgres at"), "{command} says what it waits for: {said}");
        assert!(said.contains("waiting for Postgres"), "{command} waits, not in silence: {said}");
        assert!(said.contains(&nowhere.address()), "{command} says where: {said}");
        assert!(!said.contains("hunter2"), "{command} tells the password");
        assert!(!said.contains("panicked"), "{command}: {said}");
    }
    let process = ProcessBuilder::lab(["api"]).start();
    assert_eq!(process.wait_exit(TASK_TIMEOUT), ProcessExit::Code(2), "{}", process.stderr());
    assert!(process.stderr().contains("database.url"), "{}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_starts_late_is_used_once_it_is_up() {
    let mut postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let url = database.url();
    let migrate = ProcessBuilder::lab(["migrate"]).env("LONGHAUL_DATABASE_URL", &url).start();
    longhaul_tests::stack::expect_success(&migrate);
    postgres.stop_fast();
    let port = Port::reserve();
    let api = ProcessBuilder::lab(["api", "--auth", "none", "--listen", &port.address()])
        .env("LONGHAUL_DATABASE_URL", &url)
        .start();
    eventually(TASK_TIMEOUT, "it says that it waits", async || {
        let said = api.stderr();
        if said.contains("database") { Ok(()) } else { Err(said) }
    })
    .await;
    postgres.start();
    api.wait_ready(&format!("http://{}", port.address())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_schema_is_rejected_with_a_clear_error() {
    let database = Database::create();
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), ONE_AGENT).expect("our folder is writable");
    for command in ["api", "worker"] {
        let launch = ProcessBuilder::lab([command]).current_dir(folder.path());
        let process = launch.env("LONGHAUL_DATABASE_URL", database.url()).start();
        assert_eq!(
            process.wait_exit(TASK_TIMEOUT),
            ProcessExit::Code(1),
            "{command}: {}",
            process.stderr()
        );
        assert!(process.stderr().contains("migrate"), "{command}: {}", process.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_database_loses_nothing_that_was_acknowledged() {
    let mut postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let stack = StackBuilder::new(Mode::Distributed).short_lease().database(database).start().await;
    let client = stack.client();
    let parked = send(&client, "!ask").await;
    let running = id(&start(&client, "!chunks 100 20 50").await);
    let queued = id(&start(&client, "!wait 1000; complete later").await);
    let mut watching = client.stream("SubscribeToTask", json!({"id": running})).await;
    watching.next_result(TASK_TIMEOUT).await.expect("a snapshot");

    postgres.stop_immediate();
    assert_writes_rejected(&client).await;
    eventually(TASK_TIMEOUT, "the node says that it is not ready", async || {
        match client.try_get_status("/readyz").await {
            Ok(503) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(client.get("/healthz").await.status, 200, "it lives nevertheless");
    postgres.start();

    let taken = send_until_accepted(&stack, "back again").await;
    assert_eq!(artifact_texts(&taken), ["back again"]);
    assert_eq!(get(&client, &id(&parked)).await, parked);
    let done = wait_for_state(&client, &running, "COMPLETED").await;
    assert_eq!(done["artifacts"][0]["parts"].as_array().map(Vec::len), Some(100));
    wait_for_state(&client, &queued, "COMPLETED").await;
    let last = watching.collect_results(TASK_TIMEOUT).await.pop().expect("the stream went on").1;
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
    stack.assert_healthy().await;
    drop(stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_at_the_start_delays_nothing() {
    let nowhere = Port::reserve();
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), ONE_AGENT).expect("our folder is writable");
    let database = Database::create();
    let (api, worker) = (Port::reserve(), Port::reserve());
    let launch = |arguments: &[&str]| {
        ProcessBuilder::lab(arguments)
            .current_dir(folder.path())
            .env("LONGHAUL_DATABASE_URL", database.url())
            .env("LONGHAUL_AMQP_URL", format!("amqp://guest:guest@{}/%2f", nowhere.address()))
            .env("LONGHAUL_AMQP_START_TIMEOUT", "1s")
            .env("LONGHAUL_WORKER_PROBE_INTERVAL", "500ms")
            .start()
    };
    longhaul_tests::stack::expect_success(&launch(&["migrate"]));
    let worker_process = launch(&["worker", "--listen", &worker.address()]);
    let api_process = launch(&["api", "--auth", "none", "--listen", &api.address()]);
    let base = format!("http://{}", api.address());
    let client = Client::new(&base);
    let task = eventually(TASK_TIMEOUT, "a task completes without a broker", async || {
        client.try_get_status("/healthz").await.map_err(|error| (0, error))?;
        let answer = client.try_call("SendMessage", message("hello")).await;
        answer.map_err(|error| (error.code, error.message))
    });
    assert_eq!(state(&task_of(task.await)), "COMPLETED");
    assert!(api_process.is_running() && worker_process.is_running());
    let ready = Client::new(&format!("http://{}", worker.address())).get("/readyz").await;
    assert_eq!(ready.status, 503, "readiness tells that the broker is away: {}", ready.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_outage_delays_nothing_and_ends_with_a_reconnect() {
    let mut rabbitmq = RabbitMq::private();
    let broker = Broker::on(&rabbitmq);
    let stack = StackBuilder::new(Mode::Distributed).broker(broker).start().await;
    let client = stack.client();
    assert_eq!(state(&send(&client, "with a broker").await), "COMPLETED");
    // Stops the node gracefully: one killed right after its queues were declared may forget half of
    // them.
    rabbitmq.stop();
    for text in ["without", "still without"] {
        assert_eq!(artifact_texts(&send(&client, text).await), [text]);
    }
    let worker = Client::new(&stack.workers()[0].base());
    eventually(TASK_TIMEOUT, "the worker's readiness tells", async || {
        match worker.try_get_status("/readyz").await {
            Ok(503) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    rabbitmq.start();
    stack.workers()[0].running().wait_ready(&stack.workers()[0].base()).await;
    assert_eq!(state(&send(&client, "with a broker again").await), "COMPLETED");
    stack.assert_healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_broker_does_not_delay_a_response() {
    let rabbitmq = RabbitMq::private();
    let stack = StackBuilder::new(Mode::Distributed).broker(Broker::on(&rabbitmq)).start().await;
    let client = stack.client();
    send(&client, "warm").await;
    rabbitmq.sigstop();
    let hung = tokio::time::timeout(Duration::from_secs(20), send(&client, "hello")).await;
    rabbitmq.sigcont();
    assert_eq!(state(&hung.expect("it is answered by probing")), "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_deployment_runs_without_a_broker() {
    let database = Database::create();
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    fs::write(folder.path().join("longhaul.toml"), ONE_AGENT).expect("our folder is writable");
    let (api, worker) = (Port::reserve(), Port::reserve());
    let launch = |arguments: &[&str]| {
        let launch = ProcessBuilder::lab(arguments).current_dir(folder.path());
        // The periodic scan is not what finds the task.
        let launch = launch.env("LONGHAUL_WORKER_PROBE_INTERVAL", "10m");
        launch.env("LONGHAUL_DATABASE_URL", database.url()).start()
    };
    longhaul_tests::stack::expect_success(&launch(&["migrate"]));
    let worker_process = launch(&["worker", "--listen", &worker.address()]);
    worker_process.wait_ready(&format!("http://{}", worker.address())).await;
    let api_process = launch(&["api", "--auth", "none", "--listen", &api.address()]);
    let base = format!("http://{}", api.address());
    api_process.wait_ready(&base).await;
    let events =
        stream(&Client::new(&base), "!chunks 20").await.collect_results(TASK_TIMEOUT).await;
    assert!(events.len() >= 22, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dev_on_the_same_folder_is_rejected_with_a_clear_error() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let (data, port) = (stack.folder().join("data"), Port::reserve());
    let data = data.display().to_string();
    let second = stack.command(&["dev", "--data", &data, "--listen", &port.address()]).start();
    assert_eq!(second.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{}", second.stderr());
    assert!(second.stderr().contains(&data), "it names the folder: {}", second.stderr());
    assert!(!second.stderr().contains("panicked"), "{}", second.stderr());
    assert_eq!(state(&send(&stack.client(), "the first works on").await), "COMPLETED");
    let keys = stack.command(&["keys", "list", "--data", &data]).start();
    assert_eq!(keys.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{}", keys.stderr());
}
