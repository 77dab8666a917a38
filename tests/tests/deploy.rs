//! A rolling restart under load: every process is drained and replaced, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::follow::follow;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, fold, get, id, message, return_immediately, state, task_of,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder};

/// Sends tasks until `over` is set, and returns the number of completed ones.
async fn sender(clients: [Client; 2], over: Arc<AtomicBool>) -> usize {
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        let completed = tokio::time::timeout(TASK_TIMEOUT, complete_one(&clients)).await;
        completed.expect("a task completes and its client hears of it");
        done += 1;
    }
    done
}

/// Sends one task; retries on the other node until a response has the completed task.
async fn complete_one(clients: &[Client; 2]) {
    let params = message("!chunks 5 20 30; complete");
    for client in clients.iter().cycle() {
        if let Ok(answer) = client.call_or_reason("SendMessage", params.clone()).await
            && state(&task_of(answer)) == "COMPLETED"
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn restart_everything(stack: &mut Stack) {
    for worker in 0..2 {
        stack.workers()[worker].running().sigterm();
        assert_eq!(stack.workers()[worker].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
        stack.start_worker(worker).await;
    }
    for node in 0..2 {
        stack.nodes()[node].running().sigterm();
        assert_eq!(stack.nodes()[node].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
        stack.start_node(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing_breaks_no_stream_and_burns_no_attempt() {
    let mut stack = StackBuilder::new(Mode::Distributed).nodes(2).workers(2).start().await;
    let clients = || [stack.client_at(0), stack.client_at(1)];
    let long = message("!chunks 150 20 100; complete");
    let long = id(&task_of(stack.client().call("SendMessage", return_immediately(long)).await));
    let over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..8)
        .map(|_| longhaul_runtime::spawn("sender", sender(clients(), Arc::clone(&over))))
        .collect();
    let following = longhaul_runtime::spawn("follower", follow(clients().to_vec(), long.clone()));

    restart_everything(&mut stack).await;

    over.store(true, Ordering::Relaxed);
    let mut done = 0;
    for sender in senders {
        done += sender.await.expect("a sender failed");
    }
    assert!(done > 20, "{done}");
    let events = following.await.expect("the follower failed");
    let task = get(&stack.client(), &long).await;
    assert_eq!(fold(&events)["artifacts"], task["artifacts"]);
    assert_eq!(task["artifacts"][0]["parts"].as_array().map(Vec::len), Some(150));
    let database = stack.database();
    assert_eq!(database.sql("select count(*) from task_history where attempt > 1"), "0");
    let open = "select count(*) from task_overview where state <> 'completed'";
    assert_eq!(database.sql(open), "0", "every task that was taken has completed");
    stack.assert_no_errors_logged();
}
