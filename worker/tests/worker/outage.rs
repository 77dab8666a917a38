//! A worker that loses the connection to its store.

use crate::fixture::{WorkerFixture, executor};
use longhaul_domain::TaskState;
use longhaul_executor::{OutputStopped, prelude::*};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_disconnected_worker_stops_its_runs_and_repeats_them_when_it_is_back() {
    let mut fixture = WorkerFixture::new().await;
    fixture.options.lease = Duration::from_millis(900);
    let (report, mut stopped) = mpsc::unbounded_channel();
    let runs: Arc<Mutex<u32>> = Arc::default();
    let talks = move |ctx: TaskContext| {
        let (report, runs) = (report.clone(), Arc::clone(&runs));
        async move {
            let first = {
                let mut runs = runs.lock().unwrap();
                *runs += 1;
                *runs == 1
            };
            if first {
                // Emits output until it is stopped.
                while ctx.status("still at it").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                report.send(ctx.stopped().await).unwrap();
            }
            Ok(Outcome::Completed(None))
        }
    };
    let worker = fixture.start(vec![executor("talks", |_| {}, talks)]);
    let key = fixture.accept("talks").await;
    fixture.wait_for_state(key, TaskState::Working).await;
    fixture.store.disconnect();
    assert_eq!(stopped.recv().await, Some(OutputStopped::LeaseLost));
    let old_fences: HashSet<_> = fixture.store.write_fences().into_iter().collect();
    assert_eq!(old_fences.len(), 1, "one run, one fence");
    let sent = fixture.store.write_fences().len();
    fixture.store.reconnect();
    fixture.store.wait_registered(2).await;
    assert_eq!(fixture.wait_for_end(key).await, TaskState::Completed);
    let after = fixture.store.write_fences().split_off(sent);
    assert!(!after.is_empty());
    assert!(after.iter().all(|fence| !old_fences.contains(fence)), "an old fence was used again");
    let task = fixture.task(key).await;
    assert_eq!(task.status.state, TaskState::Completed);
    fixture.drain(worker).await;
}
