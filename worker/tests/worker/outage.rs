//! A worker that is cut off from its store.

use crate::scene::{Scene, does};
use longhaul_domain::TaskState;
use longhaul_executor::{OutputStopped, prelude::*};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_worker_that_is_cut_off_stops_its_runs_and_does_them_again_when_it_is_back() {
    let mut scene = Scene::new().await;
    scene.options.lease = Duration::from_millis(900);
    let (told, mut stopped) = mpsc::unbounded_channel();
    let runs: Arc<Mutex<u32>> = Arc::default();
    let cut_off = move |ctx: TaskContext| {
        let (told, runs) = (told.clone(), Arc::clone(&runs));
        async move {
            let first = {
                let mut runs = runs.lock().unwrap();
                *runs += 1;
                *runs == 1
            };
            if first {
                // Has something to say for as long as it is heard.
                while ctx.status("still at it").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                told.send(ctx.stopped().await).unwrap();
            }
            Ok(Outcome::Completed(None))
        }
    };
    let worker = scene.start(vec![does("talks", |_| {}, cut_off)]);
    let key = scene.accept("talks").await;
    scene.reached(key, TaskState::Working).await;
    scene.store.go_down();
    assert_eq!(stopped.recv().await, Some(OutputStopped::LeaseLost));
    let written: HashSet<_> = scene.store.writes().into_iter().collect();
    assert_eq!(written.len(), 1, "one run, one fence");
    let sent = scene.store.writes().len();
    scene.store.come_up();
    scene.store.registered(2).await;
    assert_eq!(scene.ended(key).await, TaskState::Completed);
    let after = scene.store.writes().split_off(sent);
    assert!(!after.is_empty());
    assert!(after.iter().all(|fence| !written.contains(fence)), "the old fence was used again");
    let facts = scene.task(key).await;
    assert_eq!(facts.status.state, TaskState::Completed);
    scene.end(worker).await;
}
