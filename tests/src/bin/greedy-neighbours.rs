//! `greedy-neighbours [embedded|distributed] [SECONDS]`: one owner sends the worst load that the
//! limits allow while another runs `echo` at a steady rate. Prints the second owner's latencies with and without the first, the
//! delay of heartbeats, and the memory of each process.
//!
//! The greedy owner is a separate process with the lowest priority: in a deployment it runs on
//! another machine, and building bodies of megabytes would distort the quiet owner's latencies.
//!
//! `tests/neighbours/run` builds what it needs.

#![expect(clippy::print_stdout, reason = "this is a command for a terminal")]

use std::env;
use std::process::Stdio;
use std::time::Duration;

use longhaul_tests::greedy::{GreedyLoad, peak_memory};
use longhaul_tests::tasks::{send, state};
use longhaul_tests::{Client, Mode, Stack, StackBuilder};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

/// Tasks per second of the quiet owner.
const RATE: u32 = 20;

/// First argument that selects the greedy owner's process.
const GREEDY_OWNER: &str = "greedy-owner";

/// Interval between heartbeats of a worker: a third of the default lease.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let mode = match arguments.next().as_deref() {
        Some(GREEDY_OWNER) => return run_greedy_owner(arguments.collect()).await,
        Some("embedded") => Mode::Embedded,
        _ => Mode::Distributed,
    };
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20);
    let measured = Duration::from_secs(seconds);
    let stack = StackBuilder::new(mode).key("quiet", "read,write").key("greedy", "read,write");
    let stack = stack.start().await;
    let echo = stack.client().rpc_path("/agents/echo");
    steady(&stack, &echo, Duration::from_secs(2)).await;
    print("alone", &steady(&stack, &echo, measured).await);
    let begun = Instant::now();
    let greed = greedy_process(&stack, measured);
    let beside = async {
        let mut seen = steady(&stack, &echo, measured).await;
        while begun.elapsed() < measured {
            seen.merge(steady(&stack, &echo, measured).await);
        }
        seen
    };
    let (seen, ()) = tokio::join!(beside, greed);
    print("beside a greedy owner", &seen);
    println!("the greedy owner was done after {:.1} s", begun.elapsed().as_secs_f64());
    for place in stack.nodes().iter().chain(stack.workers()) {
        let pid = place.running().pid();
        println!("{} peak memory {} MiB", place.address(), peak_memory(pid) >> 20);
    }
}

/// Runs the greedy owner until it has sent everything.
async fn greedy_process(stack: &Stack, measured: Duration) {
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program).args([GREEDY_OWNER, &stack.base(), stack.key(1)]);
    command.arg(measured.as_secs().to_string()).stdin(Stdio::null()).kill_on_drop(true);
    let status = command.status().await.expect("the greedy owner starts");
    assert!(status.success(), "the greedy owner: {status}");
}

/// Sends the worst case repeatedly for the given time. Arguments: `ADDRESS KEY SECONDS`.
async fn run_greedy_owner(arguments: Vec<String>) {
    let [address, key, seconds] = &*arguments else { panic!("address, key and seconds") };
    let client = Client::new(address).bearer(key);
    let measured = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let begun = Instant::now();
    while begun.elapsed() < measured {
        GreedyLoad::WORST_CASE.send(&client).await;
    }
}

/// Measurements of the quiet owner.
#[derive(Default)]
struct Seen {
    tasks: Vec<Duration>,
    health: Vec<Duration>,
    heartbeats: Vec<Duration>,
}

impl Seen {
    fn merge(&mut self, other: Self) {
        self.tasks.extend(other.tasks);
        self.health.extend(other.health);
        self.heartbeats.extend(other.heartbeats);
    }
}

/// Sends tasks at a steady rate without waiting for responses, and meanwhile measures health checks
/// and heartbeats.
async fn steady(stack: &Stack, echo: &Client, time: Duration) -> Seen {
    let begun = Instant::now();
    let tasks = async {
        let mut sent = JoinSet::new();
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        while begun.elapsed() < time {
            ticks.tick().await;
            let echo = echo.clone();
            sent.spawn(async move {
                let begun = Instant::now();
                let task = send(&echo, "hello").await;
                assert_eq!(state(&task), "COMPLETED");
                begun.elapsed()
            });
        }
        sent.join_all().await
    };
    let health = async {
        let client = stack.anonymous();
        let mut times = Vec::new();
        while begun.elapsed() < time {
            let asked = Instant::now();
            client.try_get_status("/healthz").await.expect("health checks are answered");
            times.push(asked.elapsed());
            sleep(Duration::from_millis(20)).await;
        }
        times
    };
    let heartbeats = async {
        let mut ages = Vec::new();
        while begun.elapsed() < time && stack.mode() == Mode::Distributed {
            let age = stack.database().sql(
                "select coalesce(max(extract(epoch from clock_timestamp() - (lease_until - interval '15 s'))), 0) \
                 from workers where lost_at is null",
            );
            ages.push(Duration::from_secs_f64(age.trim().parse().unwrap_or_default()));
            sleep(Duration::from_millis(250)).await;
        }
        ages
    };
    let (tasks, health, heartbeats) = tokio::join!(tasks, health, heartbeats);
    Seen { tasks, health, heartbeats }
}

fn print(what: &str, seen: &Seen) {
    let at = |times: &[Duration], percent: usize| {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let late = seen.heartbeats.iter().max().copied().unwrap_or_default();
    println!(
        "{what}: {} tasks, p50 {:.1} ms, p99 {:.1} ms; /healthz p99 {:.1} ms; oldest heartbeat {:.1} s, {:.1} s late",
        seen.tasks.len(),
        at(&seen.tasks, 50),
        at(&seen.tasks, 99),
        at(&seen.health, 99),
        late.as_secs_f64(),
        late.saturating_sub(HEARTBEAT_INTERVAL).as_secs_f64(),
    );
}
