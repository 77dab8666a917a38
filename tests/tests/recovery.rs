//! Workers come and go, and tasks continue: quickly after a worker's death, within the lease after
//! a hang, and without a second run when only the database was away.

use std::time::{Duration, Instant};

use longhaul_tests::tasks::{
    TASK_TIMEOUT, get, id, message, reply_to, return_immediately, send, start, state, task_of,
    texts, wait_for_state,
};
use longhaul_tests::{
    Client, Database, Mode, Postgres, Stack, StackBuilder, eventually, on_both_modes,
};
use serde_json::{Value, json};

on_both_modes! {
    a_task_that_kills_its_workers_is_quarantined_and_others_continue,
    a_task_that_makes_progress_is_not_blamed_for_the_loss_of_its_workers,
}

const URN: &str = "urn:longhaul:a2a:durability:v1";

/// Number of moves of a task that lasts for the whole test.
const LONG_TASK_MOVES: usize = 160;

/// A plan that moves a checkpoint this many times, every 50 ms, and adds a line to the effects file
/// each time.
fn moving(times: usize) -> String {
    format!("!checkpoint place {times} 50; effects moves")
}

/// Number of moves that a task has made.
fn moves(stack: &Stack, task: &str) -> usize {
    stack.effects("moves").iter().filter(|line| line.starts_with(task)).count()
}

async fn until_moves(stack: &Stack, task: &str, wanted: usize) {
    eventually(TASK_TIMEOUT, &format!("{task} has moved {wanted} times"), async || {
        let moves = moves(stack, task);
        if moves >= wanted { Ok(()) } else { Err(moves) }
    })
    .await;
}

/// The running tasks of a worker, by its process id.
fn tasks_of_worker(stack: &Stack, worker: usize) -> Vec<String> {
    let pid = stack.workers()[worker].running().pid();
    let sql = format!("select task_id from task_overview where worker_name like '%:{pid}'");
    stack.database().sql(&sql).lines().map(str::to_owned).collect()
}

/// Starts tasks that move, and waits until each has begun.
async fn start_moving(stack: &Stack, tasks: usize, times: usize) -> Vec<String> {
    let mut started = Vec::new();
    for _ in 0..tasks {
        started.push(id(&start(&stack.client(), &moving(times)).await));
    }
    for task in &started {
        until_moves(stack, task, 2).await;
    }
    started
}

/// Waits until each task moves again, and returns the time each took since `since`.
async fn until_moving(stack: &Stack, tasks: &[String], since: Instant) -> Vec<Duration> {
    let before: Vec<usize> = tasks.iter().map(|task| moves(stack, task)).collect();
    let mut took = vec![None; tasks.len()];
    eventually(TASK_TIMEOUT, "all tasks move again", async || {
        for (position, task) in tasks.iter().enumerate() {
            if took[position].is_none() && moves(stack, task) > before[position] {
                took[position] = Some(since.elapsed());
            }
        }
        took.iter().all(Option::is_some).then_some(()).ok_or_else(|| took.clone())
    })
    .await;
    took.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_killed_worker_run_elsewhere_in_about_a_second() {
    // The default lease of fifteen seconds is not what limits recovery here.
    let setup = StackBuilder::new(Mode::Distributed).workers(2).set("worker.concurrency", "64");
    let mut stack = setup.start().await;
    let mut took = Vec::new();
    for _ in 0..3 {
        let started = start_moving(&stack, 6, 80).await;
        let hit = |worker| {
            let all = tasks_of_worker(&stack, worker);
            all.into_iter().filter(|task| started.contains(task)).collect::<Vec<_>>()
        };
        let (first, second) = (hit(0), hit(1));
        let (victim, hit) = if first.len() > second.len() { (0, first) } else { (1, second) };
        assert!(!hit.is_empty(), "it runs some of them");
        stack.kill_worker(victim);
        took.extend(until_moving(&stack, &hit, Instant::now()).await);
        stack.start_worker(victim).await;
    }
    took.sort();
    let (half, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "from SIGKILL to running elsewhere, {} tasks: p50 {half:?}, max {longest:?}",
        took.len()
    );
    assert!(longest < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_frozen_worker_run_elsewhere_when_its_lease_is_over() {
    let lease = Duration::from_secs(4);
    let mut stack = StackBuilder::new(Mode::Distributed).set("worker.lease", "4s").start().await;
    let started = start_moving(&stack, 4, 80).await;
    stack.add_worker().await;
    stack.workers()[0].running().sigstop();
    let took = until_moving(&stack, &started, Instant::now()).await;
    let longest = took.iter().max().copied().unwrap_or_default();
    println!("from SIGSTOP to running elsewhere, with a lease of {lease:?}: max {longest:?}");
    assert!(longest < lease + Duration::from_secs(4), "{took:?}");
    let shortest = took.iter().min().copied().unwrap_or_default();
    assert!(shortest > lease / 2, "a worker that may live is not robbed: {took:?}");
    stack.workers()[0].running().sigcont();
    for task in &started {
        let done = wait_for_state(&stack.client(), task, "COMPLETED").await;
        assert_eq!(texts(&done["status"]["message"]["parts"]), [""; 0]);
        assert_gapless(&stack, task);
    }
}

/// Asserts that a task's log has no gaps and exactly one end.
fn assert_gapless(stack: &Stack, task: &str) {
    let sql = format!(
        "select count(*) = max(seq) and min(seq) = 1 \
         and count(*) filter (where state in ('completed', 'failed', 'canceled', 'rejected')) = 1 \
         from task_history where task_id = '{task}'"
    );
    assert_eq!(stack.database().sql(&sql), "t", "the log of {task}");
}

/// Kills the worker and starts another until the task has failed.
async fn until_failed_while_workers_die(stack: &mut Stack, task: &str) -> Value {
    for _ in 0..2 {
        let place = match stack.mode() {
            Mode::Embedded => &stack.nodes()[0],
            Mode::Distributed => &stack.workers()[0],
        };
        place.running().wait_exit(TASK_TIMEOUT);
        match stack.mode() {
            Mode::Embedded => stack.start_node(0).await,
            Mode::Distributed => stack.start_worker(0).await,
        }
    }
    wait_for_state(&stack.client(), task, "FAILED").await
}

async fn a_task_that_kills_its_workers_is_quarantined_and_others_continue(mode: Mode) {
    let setup = StackBuilder::new(mode).short_lease().set("worker.max_losses", "2");
    let mut stack = setup.start().await;
    let other = start_moving(&stack, 1, 80).await.remove(0);
    let options = json!({URN: {"maxAttempts": 1}});
    let killer = message("!wait 1500; exit");
    let killer = longhaul_tests::tasks::with(killer, "/message/metadata", options);
    let killer = id(&task_of(stack.client().call("SendMessage", return_immediately(killer)).await));

    let failed = until_failed_while_workers_die(&mut stack, &killer).await;
    let failure = &failed["status"]["message"]["metadata"][URN];
    assert_eq!(failure["because"], "poison", "{failed}");
    let letters = stack.client().get("/operator/v1/dead?because=poison").await.json();
    assert_eq!(letters["dead"][0]["taskId"], killer.as_str(), "{letters}");
    assert_eq!(letters["dead"].as_array().map(Vec::len), Some(1), "{letters}");
    assert_ne!(letters["dead"][0]["cause"], "");

    wait_for_state(&stack.client(), &other, "COMPLETED").await;
    assert_eq!(state(&send(&stack.client(), "and new ones").await), "COMPLETED");
}

async fn a_task_that_makes_progress_is_not_blamed_for_the_loss_of_its_workers(mode: Mode) {
    let setup = StackBuilder::new(mode).short_lease().set("worker.max_losses", "2");
    let mut stack = setup.start().await;
    let task = id(&start(&stack.client(), &moving(60)).await);
    for round in 1..=4 {
        until_moves(&stack, &task, 10 * round).await;
        stack.replace_workers().await;
    }
    wait_for_state(&stack.client(), &task, "COMPLETED").await;
}

/// Logged losses and claims of these tasks, one a line.
fn claims(stack: &Stack, tasks: &[String]) -> String {
    let list = format!("'{}'", tasks.join("','"));
    stack.database().sql(&format!(
        "select task_id, attempt, epoch, losses from runs where task_id in ({list}) order by task_id"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restart_makes_no_task_of_a_live_worker_run_twice() {
    let mut postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let setup = StackBuilder::new(Mode::Distributed).workers(2).database(database);
    let stack = setup.start().await;
    let tasks = start_moving(&stack, 6, LONG_TASK_MOVES).await;
    let before = claims(&stack, &tasks);
    for stop in [Postgres::stop_fast, Postgres::stop_immediate, Postgres::kill9] {
        stop(&mut postgres);
        postgres.start();
        let counts: Vec<usize> = tasks.iter().map(|task| moves(&stack, task)).collect();
        for (task, count) in tasks.iter().zip(counts) {
            until_moves(&stack, task, count + 5).await;
        }
        assert_eq!(claims(&stack, &tasks), before, "every task is where it was");
    }
    for task in &tasks {
        wait_for_state(&stack.client(), task, "COMPLETED").await;
        assert_eq!(moves(&stack, task), LONG_TASK_MOVES, "each move was made once");
        assert_gapless(&stack, task);
    }
    let lost = "select count(*) from task_history where body ->> 'note' = 'worker-lost'";
    assert_eq!(stack.database().sql(lost), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_continues_after_a_database_outage_longer_than_the_lease() {
    let mut postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let setup = StackBuilder::new(Mode::Distributed).workers(2).short_lease().database(database);
    let stack = setup.start().await;
    let tasks = start_moving(&stack, 4, 80).await;
    postgres.stop_fast();
    // A worker that cannot renew its lease stops its runs before another worker may start them.
    for worker in stack.workers() {
        eventually(TASK_TIMEOUT, "a worker has given its runs up", async || {
            let log = worker.log();
            if log.contains("stopping all runs") { Ok(()) } else { Err(log) }
        })
        .await;
    }
    postgres.start();
    for task in &tasks {
        wait_for_state(&stack.client(), task, "COMPLETED").await;
        assert_gapless(&stack, task);
    }
    let attempts = "select max(attempt) from task_history";
    assert_eq!(stack.database().sql(attempts), "1", "nobody's failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dev_resumes_as_soon_as_it_is_started() {
    // Embedded mode has a lease of fifteen seconds, too, but no other process can be using the
    // folder.
    let mut stack = StackBuilder::new(Mode::Embedded).start().await;
    let tasks = start_moving(&stack, 3, 60).await;
    stack.kill_node(0);
    stack.start_node(0).await;
    let took = until_moving(&stack, &tasks, Instant::now()).await;
    assert!(took.iter().all(|took| *took < Duration::from_secs(5)), "{took:?}");
}

/// `longhaul.toml` with one agent whose tasks stay on the version that began them.
fn pinned(version: &str) -> String {
    format!(
        "[[agent]]\nname = \"script\"\nexecutor = \"script\"\nversion = \"{version}\"\npin_version = true\n"
    )
}

/// Queue position of a task, as the durability extension reports it.
async fn queue(client: &Client, task: &str) -> Value {
    get(&client.clone().header("a2a-extensions", URN), task).await["metadata"][URN]["queue"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_task_finishes_on_the_version_that_began_it() {
    let mut stack = StackBuilder::new(Mode::Distributed).config(&pinned("1.0.0")).start().await;
    let client = stack.client();
    let parked = id(&send(&client, "!step a; effects moves; ask go on?").await);
    let moving = start_moving(&stack, 1, 80).await.remove(0);
    stack.reconfigure(&pinned("2.0.0"));
    stack.add_worker().await;
    stack.kill_worker(0);
    client
        .call("SendMessage", return_immediately(reply_to(&parked, "!step b; effects moves")))
        .await;
    eventually(TASK_TIMEOUT, "the loss of the worker is noticed", async || {
        let queue = queue(&client, &moving).await;
        if queue == "queued" { Ok(()) } else { Err(queue) }
    })
    .await;
    let count = moves(&stack, &moving);
    for _ in 0..10 {
        assert_eq!(state(&send(&client, "for the new version").await), "COMPLETED");
    }
    for task in [&parked, &moving] {
        assert_eq!(queue(&client, task).await, "queued", "the new version leaves it alone");
    }
    assert_eq!(moves(&stack, &moving), count);

    stack.reconfigure(&pinned("1.0.0"));
    stack.start_worker(0).await;
    wait_for_state(&client, &parked, "COMPLETED").await;
    wait_for_state(&client, &moving, "COMPLETED").await;
    assert_gapless(&stack, &moving);
}
