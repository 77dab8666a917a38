//! One owner sends the worst load that the limits allow, and another must not notice.

use longhaul_tests::greedy::{GreedyLoad, peak_memory};
use longhaul_tests::tasks::{send, state};
use longhaul_tests::{Mode, StackBuilder, on_both_modes};

on_both_modes!(a_greedy_owner_only_slows_another_down,);

/// Peak memory of a process: each of its 4 slots with a message and a history at their limits,
/// decoded, and the request bodies in flight.
const MAX_RESIDENT_BYTES: u64 = 600 << 20;

async fn a_greedy_owner_only_slows_another_down(mode: Mode) {
    let stack = StackBuilder::new(mode)
        .key("quiet", "read,write")
        .key("greedy", "read,write")
        .set("worker.concurrency", "4")
        .start()
        .await;
    let greedy = stack.anonymous().bearer(stack.key(1));
    let echo = stack.client().rpc_path("/agents/echo");
    let quiet = async {
        for n in 0..30 {
            let task = send(&echo, &format!("task {n}")).await;
            assert_eq!(state(&task), "COMPLETED", "nothing is refused to the other owner");
        }
    };
    tokio::join!(GreedyLoad::TEST_SIZED.send(&greedy), quiet);
    for place in stack.nodes().iter().chain(stack.workers()) {
        let resident = peak_memory(place.running().pid());
        assert!(resident < MAX_RESIDENT_BYTES, "{} MiB", resident >> 20);
        let log = place.log();
        assert!(!log.contains("stopping all runs"), "a lease was lost:\n{log}");
        assert!(!log.contains("lost run offered again"), "a run was lost:\n{log}");
    }
    stack.assert_no_errors_logged();
}
