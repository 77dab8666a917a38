//! A short campaign with a fixed seed.

use longhaul_chaos::{CampaignOptions, PlanOptions, campaign};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_promise_is_kept_under_faults_of_all_kinds() {
    let seconds = Duration::from_secs;
    let report = campaign::run(&CampaignOptions {
        plan: PlanOptions {
            seed: 1,
            duration: seconds(40),
            every: seconds(2),
            lease: seconds(5),
            only: Vec::new(),
        },
        tasks: u64::MAX,
        clients: 16,
        quiesce: seconds(45),
        keep: None,
    })
    .await;
    println!("{}", report.text());
    let tasks: u64 = report.figures.tasks.values().sum();
    assert!(tasks >= 50, "only {tasks} tasks: there was hardly any load");
    assert!(report.is_clean(), "promises were broken, see above");
}
