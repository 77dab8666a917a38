//! Broker or database are reachable but misbehave: nothing is lost, and the service recovers
//! without help.

use std::time::Duration;

use futures::future::join_all;
use longhaul_tests::proxy::Proxy;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, get, id, message, return_immediately, send, start, state, task_of,
    wait_for_parts, wait_for_state,
};
use longhaul_tests::{
    Broker, Client, Database, Mode, Postgres, RabbitMq, Stack, StackBuilder, eventually,
};
use serde_json::{Value, json};

/// Sends the same message until it is accepted, like a client that gets no response.
async fn send_until_accepted(client: &Client, params: Value) -> Value {
    let answer = eventually(TASK_TIMEOUT, "a message is taken", async || {
        client.try_call("SendMessage", params.clone()).await
    });
    task_of(answer.await)
}

async fn until_ready(client: &Client, wanted: u16) {
    eventually(TASK_TIMEOUT, &format!("/readyz answers {wanted}"), async || {
        match client.try_get_status("/readyz").await {
            Ok(status) if status == wanted => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

async fn assert_all_complete(client: &Client, tasks: &[String]) {
    for task in tasks {
        wait_for_state(client, task, "COMPLETED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_blocked_by_its_memory_alarm_delays_nothing() {
    let rabbitmq = RabbitMq::private();
    let stack = StackBuilder::new(Mode::Distributed).broker(Broker::on(&rabbitmq)).start().await;
    let client = stack.client();
    send(&client, "warm").await;

    rabbitmq.ctl(&["set_vm_memory_high_watermark", "0"]);
    for round in 0..20 {
        let task = send(&client, &format!("round {round}")).await;
        assert_eq!(state(&task), "COMPLETED");
    }
    rabbitmq.ctl(&["set_vm_memory_high_watermark", "0.8"]);

    assert_eq!(state(&send(&client, "and after").await), "COMPLETED");
    stack.assert_healthy().await;
    stack.assert_no_errors_logged();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_queue_costs_no_task() {
    let rabbitmq = RabbitMq::private();
    let broker = Broker::on(&rabbitmq);
    let queue = format!("{}.wake.script", broker.prefix());
    let mut stack = StackBuilder::new(Mode::Distributed).broker(broker).start().await;
    let client = stack.client();
    send(&client, "warm").await;
    stack.kill_workers();

    let mut tasks = Vec::new();
    for n in 0..20 {
        tasks.push(id(&start(&client, &format!("task {n}")).await));
    }
    rabbitmq.ctl(&["purge_queue", &queue]);
    stack.add_worker().await;

    assert_all_complete(&client, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_its_data_is_used_like_a_new_one() {
    let mut rabbitmq = RabbitMq::private();
    let stack = StackBuilder::new(Mode::Distributed).broker(Broker::on(&rabbitmq)).start().await;
    let client = stack.client();
    send(&client, "warm").await;
    let worker = Client::new(&stack.workers()[0].base());

    rabbitmq.stop();
    until_ready(&worker, 503).await;
    let running = id(&start(&client, "!wait 500; complete").await);
    rabbitmq.wipe();
    rabbitmq.start();

    until_ready(&worker, 200).await;
    wait_for_state(&client, &running, "COMPLETED").await;
    assert_eq!(state(&send(&client, "after").await), "COMPLETED");
    stack.assert_healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_database_that_is_read_only_at_first_loses_nothing() {
    let postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let name = database.name().to_owned();
    let stack = StackBuilder::new(Mode::Distributed).database(database).start().await;
    let client = stack.client();
    let running = id(&start(&client, "!chunks 40 20 100").await);
    wait_for_parts(&client, &running, 2).await;

    // New sessions find a server that rejects writes, like a standby.
    let database = stack.database();
    database.server_sql(&format!("alter database {name} set default_transaction_read_only = on"));
    let cut = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{name}'"
    );
    database.server_sql(&cut);
    until_ready(&client, 503).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    let pending = message("while nothing can be written");
    let turned_away = client.try_call("SendMessage", pending.clone()).await;
    assert_eq!(turned_away.expect_err("it cannot be kept").code, -32053);
    // Sessions opened meanwhile stay read-only as long as they last; only their owners close them.
    database.server_sql(&format!("alter database {name} reset default_transaction_read_only"));

    let sent = send_until_accepted(&client, pending).await;
    assert_eq!(state(&sent), "COMPLETED");
    let done = wait_for_state(&client, &running, "COMPLETED").await;
    assert_eq!(done["artifacts"][0]["parts"].as_array().map(Vec::len), Some(40));
    until_ready(&client, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_too_few_connections_slows_down_and_loses_nothing() {
    // Fewer connections than two processes would like, and just as many as they need.
    let postgres = Postgres::private_with(&[("max_connections", "16")]);
    let database = Database::create_on(&postgres);
    let stack = StackBuilder::new(Mode::Distributed).database(database).start().await;
    let client = stack.client();

    let sends = (0..100).map(|n| {
        let (client, params) = (stack.client(), message(&format!("task {n}")));
        async move { state(&send_until_accepted(&client, params).await).to_owned() }
    });
    let states = join_all(sends).await;

    assert!(states.iter().all(|state| state == "COMPLETED"), "{states:?}");
    until_ready(&client, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_makes_answers_late_and_nothing_else() {
    let postgres = Postgres::private();
    let proxy = Proxy::before(&postgres.address()).await;
    let stack = StackBuilder::new(Mode::Distributed)
        .database(Database::create_on(&postgres))
        .database_proxy(&proxy.address())
        .start()
        .await;
    let client = stack.client();

    proxy.latency(Duration::from_millis(150));
    let sends = (0..10).map(|n| {
        let client = stack.client();
        async move { send(&client, &format!("task {n}")).await }
    });
    for task in join_all(sends).await {
        assert_eq!(state(&task), "COMPLETED");
    }
    until_ready(&client, 200).await;
    stack.assert_no_errors_logged();
}

/// A stack that reaches the database through a proxy, with a lease of two seconds.
async fn behind_a_proxy(postgres: &Postgres) -> (Proxy, Stack) {
    let proxy = Proxy::before(&postgres.address()).await;
    let stack = StackBuilder::new(Mode::Distributed)
        .short_lease()
        .database(Database::create_on(postgres))
        .database_proxy(&proxy.address())
        .start()
        .await;
    (proxy, stack)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_cut_off_from_the_database_say_so_and_come_back() {
    let postgres = Postgres::private();
    let (proxy, stack) = behind_a_proxy(&postgres).await;
    let client = stack.client();
    let worker = Client::new(&stack.workers()[0].base());
    let task = id(&start(&client, "!chunks 100 20 50").await);
    wait_for_parts(&client, &task, 1).await;

    // Packets vanish: there is neither a reset nor an end.
    proxy.black_hole();
    until_ready(&client, 503).await;
    until_ready(&worker, 503).await;
    let params = return_immediately(message("into the dark"));
    let turned_away = client.try_call("SendMessage", params.clone()).await;
    assert_eq!(turned_away.expect_err("it cannot be kept").code, -32053);
    proxy.heal();

    until_ready(&client, 200).await;
    until_ready(&worker, 200).await;
    let taken = send_until_accepted(&client, params).await;
    let done = wait_for_state(&client, &task, "COMPLETED").await;
    assert_eq!(done["artifacts"][0]["parts"].as_array().map(Vec::len), Some(100));
    wait_for_state(&client, &id(&taken), "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permanently_half_open_connections_are_replaced() {
    let postgres = Postgres::private();
    let (proxy, stack) = behind_a_proxy(&postgres).await;
    let client = stack.client();
    let task = id(&start(&client, "!chunks 100 20 50").await);
    wait_for_parts(&client, &task, 1).await;

    proxy.strand();

    let sent = send_until_accepted(&client, message("over a new connection")).await;
    assert_eq!(state(&sent), "COMPLETED");
    let done = wait_for_state(&client, &task, "COMPLETED").await;
    assert_eq!(done["artifacts"][0]["parts"].as_array().map(Vec::len), Some(100));
    until_ready(&client, 200).await;
    let known = get(&client, &task).await;
    assert_eq!(state(&known), "COMPLETED");
    let events = client.call("ListTasks", json!({"pageSize": 10})).await;
    assert_eq!(events["totalSize"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_gave_up_returns_although_its_old_connections_stay_half_open() {
    let postgres = Postgres::private();
    let (proxy, stack) = behind_a_proxy(&postgres).await;
    let client = stack.client();
    let task = id(&start(&client, "!chunks 100 20 50").await);
    wait_for_parts(&client, &task, 1).await;

    proxy.black_hole();
    let noticed = ["stopping all runs", "worker session lost"];
    eventually(TASK_TIMEOUT, "the worker has given up its runs and its session", async || {
        let log = stack.workers()[0].log();
        if noticed.iter().all(|line| log.contains(line)) { Ok(()) } else { Err(log) }
    })
    .await;
    proxy.strand();
    proxy.heal();

    eventually(TASK_TIMEOUT, "the task is completed", async || {
        // Responses may have to wait for new connections, too.
        let task = client.call_or_reason("GetTask", json!({"id": task})).await?;
        if state(&task) == "COMPLETED" { Ok(()) } else { Err(task.to_string()) }
    })
    .await;
    let sent = send_until_accepted(&client, message("over a new connection")).await;
    assert_eq!(state(&sent), "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_behind_a_black_hole_costs_time_and_no_task() {
    let rabbitmq = RabbitMq::private();
    let proxy = Proxy::before(&rabbitmq.address()).await;
    let broker = Broker::on(&rabbitmq).through(&proxy.address());
    let stack = StackBuilder::new(Mode::Distributed).broker(broker).start().await;
    let client = stack.client();
    send(&client, "warm").await;

    proxy.black_hole();
    for round in 0..5 {
        assert_eq!(state(&send(&client, &format!("round {round}")).await), "COMPLETED");
    }
    proxy.heal();
    proxy.strand();
    for round in 0..5 {
        assert_eq!(state(&send(&client, &format!("later {round}")).await), "COMPLETED");
    }
    stack.assert_healthy().await;
}
