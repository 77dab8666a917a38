//! The database moves to another server, planned or by a crash, and its address follows later. Full
//! service is back within seconds after the new primary is reachable, nothing is lost, and few
//! tasks run twice.
//!
//! The slow cases are ignored here; `tests/switchover` runs all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use longhaul_runtime::spawn;
use longhaul_tests::proxy::Proxy;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, id, message, return_immediately, start, state, task_of, wait_for_state,
};
use longhaul_tests::{Client, Database, Mode, Replicas, Stack, StackBuilder, eventually};
use serde_json::json;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{interval, sleep};

const NODES: usize = 2;
const WORKERS: usize = 2;

/// Promised time to full service; `tests/switchover` measures it on an otherwise idle machine.
const FULL_SERVICE_LIMIT: Duration = Duration::from_secs(5);

/// End of the former primary.
#[derive(Debug, Clone, Copy, PartialEq)]
enum PrimaryEnd {
    Planned,
    Killed,
}

/// Address through which processes find the new primary.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Address {
    /// A proxy, which forwards to the former primary for a while.
    Proxy,
    /// A URL with both hosts, neither of which is a primary for a while.
    Hosts,
}

/// Clients that send continuously, retrying each message until it is accepted.
struct Senders {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<Vec<String>>>,
}

impl Senders {
    fn start(stack: &Stack) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let running =
            (0..4).map(|n| spawn("a sender", send_on(stack.client_at(n), Arc::clone(&stop))));
        Self { running: running.collect(), stop }
    }

    /// Stops the clients and returns the acknowledged tasks.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = join_all(self.running).await;
        sent.into_iter().flat_map(|tasks| tasks.expect("a sender works")).collect()
    }
}

async fn send_on(client: Client, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut taken = Vec::new();
    let mut pace = interval(Duration::from_millis(50));
    while !stop.load(Ordering::Relaxed) {
        let params = return_immediately(message("!wait 20; complete"));
        // Repeats the same message until it is accepted, so that it creates one task.
        loop {
            pace.tick().await;
            match client.call_or_reason("SendMessage", params.clone()).await {
                Ok(answer) => break taken.push(id(&task_of(answer))),
                Err(_) if stop.load(Ordering::Relaxed) => break,
                Err(_) => {}
            }
        }
    }
    taken
}

/// Checks once that all processes use the new primary only.
async fn serves(stack: &Stack, replicas: &Replicas) -> Result<(), String> {
    for place in stack.nodes().iter().chain(stack.workers()) {
        match Client::new(&place.base()).try_get_status("/readyz").await {
            Ok(200) => {}
            other => return Err(format!("{} is not ready: {other:?}", place.base())),
        }
    }
    for node in 0..NODES {
        let answer = stack.client_at(node).call_or_reason("SendMessage", message("probe")).await?;
        let task = task_of(answer);
        if state(&task) != "COMPLETED" {
            return Err(format!("node {node} answers {task}"));
        }
    }
    let held =
        "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1 and granted";
    let name = stack.database().name();
    let ours = format!("select count(*) from pg_stat_activity where datname = '{name}'");
    block_in_place(|| {
        let held = stack.database().try_sql(held)?;
        if held != WORKERS.to_string() {
            return Err(format!("{held} sessions of workers on the new primary"));
        }
        let left = replicas.standby.try_sql(&ours)?;
        if left == "0" { Ok(()) } else { Err(format!("{left} connections to the former primary")) }
    })
}

/// Number of executions of each task, from the workers' logs.
fn executions(stack: &Stack) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in stack.logs().lines().filter(|line| line.contains("\"run started\"")) {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let mut found = Vec::new();
        task_ids(&entry, &mut found);
        for task in found {
            *counts.entry(task).or_default() += 1;
        }
    }
    counts
}

/// The values of `task_id` in a log line, in any of its spans.
fn task_ids(json: &serde_json::Value, found: &mut Vec<String>) {
    if let Some(id) = json["task_id"].as_str() {
        found.push(id.to_owned());
        return;
    }
    let children: Vec<_> = match json {
        serde_json::Value::Object(members) => members.values().collect(),
        serde_json::Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    for child in children {
        task_ids(child, found);
    }
}

async fn the_database_moves(end: PrimaryEnd, address: Address, late: Duration, limit: Duration) {
    let mut replicas = Replicas::start();
    let (first, second) = (replicas.primary.address(), replicas.standby.address());
    let proxy = Proxy::before(&first).await;
    let place = match address {
        Address::Proxy => proxy.address(),
        Address::Hosts => format!("{first},{second}"),
    };
    let mut stack = StackBuilder::new(Mode::Distributed)
        .nodes(NODES)
        .workers(WORKERS)
        .set("log.filter", "info,longhaul_worker=debug")
        .database(Database::create_on(&replicas.primary))
        .database_proxy(&place)
        .start()
        .await;
    let client = stack.client();
    let mut acknowledged = Vec::new();
    for _ in 0..8 {
        acknowledged.push(id(&start(&client, "!chunks 60 20 200").await));
    }
    let senders = Senders::start(&stack);
    for task in &acknowledged {
        wait_for_state(&client, task, "WORKING").await;
    }

    let reachable = switch_over(&mut replicas, end, address, late).await;
    proxy.redirect_to(&second);
    stack.database_mut().move_to(&replicas.primary);
    let mut missing = String::new();
    eventually(TASK_TIMEOUT, "everybody serves", async || {
        let served = serves(&stack, &replicas).await;
        if let Err(cause) = &served
            && *cause != missing
        {
            println!("  {:?}: {cause}", reachable.elapsed());
            missing.clone_from(cause);
        }
        served
    })
    .await;
    let took = reachable.elapsed();
    println!("{end:?}, {address:?}, {late:?} late: full service after {took:?}");

    acknowledged.extend(senders.stop().await);
    for task in &acknowledged {
        wait_for_state(&client, task, "COMPLETED").await;
    }
    let events = client.call("ListTasks", json!({"pageSize": 1})).await;
    assert!(events["totalSize"].as_u64() >= Some(acknowledged.len() as u64), "{events}");
    let executions = executions(&stack);
    assert!(acknowledged.iter().all(|task| executions.contains_key(task)), "each run is logged");
    let often: Vec<_> = executions.iter().filter(|(_, count)| **count > 1 + WORKERS).collect();
    assert!(often.is_empty(), "tasks that ran too often: {often:?}");
    assert!(took <= limit, "full service after {took:?}; the logs: {}", stack.logs());
}

/// Stops the primary and promotes the standby, while the former address still answers for a while.
/// Returns when the new primary is reachable.
async fn switch_over(
    replicas: &mut Replicas,
    end: PrimaryEnd,
    address: Address,
    late: Duration,
) -> Instant {
    block_in_place(|| match end {
        PrimaryEnd::Planned => replicas.primary.stop_fast(),
        PrimaryEnd::Killed => replicas.primary.kill9(),
    });
    match address {
        Address::Proxy => {
            block_in_place(|| {
                replicas.promote();
                replicas.start_former();
            });
            // The address leads to a server that answers but rejects writes.
            sleep(late).await;
            Instant::now()
        }
        Address::Hosts => {
            // Both hosts answer, and neither accepts writes.
            block_in_place(|| replicas.demote());
            sleep(late).await;
            block_in_place(|| replicas.promote());
            Instant::now()
        }
    }
}

/// Limit for tests that run beside others.
const FULL_SERVICE_LIMIT_UNDER_LOAD: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_switchover_is_survived_although_the_address_follows_four_seconds_later() {
    the_database_moves(
        PrimaryEnd::Planned,
        Address::Proxy,
        Duration::from_secs(4),
        FULL_SERVICE_LIMIT_UNDER_LOAD,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_of_the_primary_is_survived_by_a_url_with_two_hosts() {
    the_database_moves(
        PrimaryEnd::Killed,
        Address::Hosts,
        Duration::ZERO,
        FULL_SERVICE_LIMIT_UNDER_LOAD,
    )
    .await;
}

macro_rules! measured {
    ($($name:ident: $end:ident, $address:ident, $late:expr;)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        #[ignore = "tests/switchover runs it, alone"]
        async fn $name() {
            let late = Duration::from_secs($late);
            the_database_moves(PrimaryEnd::$end, Address::$address, late, FULL_SERVICE_LIMIT).await;
        }
    )* };
}

measured! {
    planned_by_a_proxy_at_once: Planned, Proxy, 0;
    planned_by_a_proxy_after_four_seconds: Planned, Proxy, 4;
    planned_by_a_proxy_after_twenty_seconds: Planned, Proxy, 20;
    planned_by_two_hosts_at_once: Planned, Hosts, 0;
    planned_by_two_hosts_after_four_seconds: Planned, Hosts, 4;
    planned_by_two_hosts_after_twenty_seconds: Planned, Hosts, 20;
    killed_by_a_proxy_at_once: Killed, Proxy, 0;
    killed_by_a_proxy_after_four_seconds: Killed, Proxy, 4;
    killed_by_a_proxy_after_twenty_seconds: Killed, Proxy, 20;
    killed_by_two_hosts_at_once: Killed, Hosts, 0;
    killed_by_two_hosts_after_four_seconds: Killed, Hosts, 4;
    killed_by_two_hosts_after_twenty_seconds: Killed, Hosts, 20;
}
