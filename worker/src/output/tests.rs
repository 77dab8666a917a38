//! What becomes of output, with a store that says what the test wants.

use super::*;
use crate::testing::{Asked, Scripted, away, fence, key, script};
use crate::why::Why;
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, Json, Part, Seq, TaskState, log::StatusChange,
};
use longhaul_store::{Append, Appended, SettleAs, Settled, StoreError};
use std::time::Duration;

struct Scene {
    store: Arc<Scripted>,
    signals: Arc<RunSignals>,
    output: Output,
    pending: Pending,
}

impl Scene {
    fn new(opening: Option<EntryBody>) -> Self {
        let (store, signals) = (Arc::<Scripted>::default(), Arc::new(RunSignals::new()));
        let work: Arc<dyn WorkerStore> = Arc::<Scripted>::clone(&store);
        let output = Output::new(work, key(1), fence(1), 1, Arc::clone(&signals), opening);
        Self { store, signals, output, pending: Pending::default() }
    }

    fn appends(&self) -> Vec<Append> {
        let asked = self.store.asked().into_iter();
        asked
            .filter_map(|asked| match asked {
                Asked::Append(append) => Some(append),
                _ => None,
            })
            .collect()
    }

    /// Does something while what is emitted is written.
    async fn while_writing<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            () = async {
                self.output.keep_writing(&self.pending).await;
                std::future::pending::<()>().await;
            } => unreachable!("it never ends"),
        }
    }
}

fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

fn artifact(id: &str, text: &str) -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new(id).unwrap(), vec![Part::text(text)]);
    EntryBody::Artifact(ArtifactUpdate {
        artifact,
        append: false,
        last_chunk: true,
        metadata: None,
    })
}

fn checkpoint(name: &str, value: u32) -> Checkpoint {
    Checkpoint::new(name, Json::from_serialize(&value).unwrap()).unwrap()
}

const NOW: Appended = Appended::Now { last: Seq(1) };

#[tokio::test(start_paused = true)]
async fn a_commit_writes_everything_before_it_and_itself_in_one_step() {
    let scene = Scene::new(Some(working()));
    script(&scene.store.append, || Ok(NOW));
    scene.output.emit(vec![artifact("a", "1")]).await.unwrap();
    let commit = scene.output.commit(vec![artifact("b", "2")], checkpoint("step", 7));
    scene.while_writing(commit).await.unwrap();
    let appends = scene.appends();
    assert_eq!(appends.len(), 1);
    let entries = [working(), artifact("a", "1"), artifact("b", "2")];
    assert_eq!(appends[0].entries, entries);
    assert_eq!(appends[0].checkpoints, [checkpoint("step", 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_not_over_before_it_is_durable() {
    let scene = Scene::new(None);
    let commit = scene.output.commit(Vec::new(), checkpoint("step", 7));
    let waited = tokio::time::timeout(Duration::from_secs(60), scene.while_writing(commit)).await;
    assert!(waited.is_err(), "the store has not answered");
    assert_eq!(scene.appends().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_repeated_as_the_same_operation() {
    let scene = Scene::new(None);
    let mut answers = vec![Ok(Appended::Already { last: Seq(2) }), away(), away()];
    script(&scene.store.append, move || answers.pop().unwrap());
    let commit = scene.output.commit(vec![artifact("a", "1")], checkpoint("step", 7));
    scene.while_writing(commit).await.unwrap();
    let appends = scene.appends();
    assert_eq!(appends.len(), 3);
    assert!(appends.iter().all(|append| *append == appends[0]), "{appends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_never_split_however_much_waits_before_it() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Ok(NOW));
    while scene.output.lock().has_room() {
        scene.output.emit(vec![artifact("a", "1")]).await.unwrap();
    }
    let many: Vec<_> = (0..1_000).map(|_| artifact("b", "2")).collect();
    let commit = scene.output.commit(many, checkpoint("step", 7));
    scene.while_writing(commit).await.unwrap();
    let with_b =
        |append: &Append| append.entries.iter().filter(|e| **e == artifact("b", "2")).count();
    let appends = scene.appends();
    assert_eq!(appends.iter().map(with_b).collect::<Vec<_>>(), [1_000]);
    assert_eq!(appends[0].checkpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn in_one_step_a_checkpoint_has_its_last_value() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Ok(NOW));
    let commits = async {
        let earlier = scene.output.commit(vec![artifact("a", "1")], checkpoint("place", 1));
        let later = scene.output.commit(vec![artifact("a", "2")], checkpoint("place", 2));
        tokio::try_join!(earlier, later).unwrap();
    };
    scene.while_writing(commits).await;
    let appends = scene.appends();
    assert_eq!(appends.len(), 1);
    assert_eq!(appends[0].checkpoints, [checkpoint("place", 2)]);
    assert_eq!(appends[0].entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn large_content_of_a_commit_is_kept_apart() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Ok(NOW));
    let large = "x".repeat(longhaul_domain::MAX_INLINE_CONTENT_BYTES + 1);
    let commit = scene.output.commit(vec![artifact("a", &large)], checkpoint("step", 1));
    scene.while_writing(commit).await.unwrap();
    let appends = scene.appends();
    assert_eq!(appends[0].blobs.len(), 1);
    assert_ne!(appends[0].entries, [artifact("a", &large)]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_commit_tells_the_executor_that_the_lease_is_lost() {
    for (answer, stopped, why) in [
        (Appended::Fenced, OutputStopped::LeaseLost, Why::LeaseLost),
        (Appended::Ended(TaskState::Canceled), OutputStopped::Canceled, Why::Canceled),
    ] {
        let scene = Scene::new(None);
        script(&scene.store.append, move || Ok(answer));
        let commit = scene.output.commit(Vec::new(), checkpoint("step", 1));
        assert_eq!(scene.while_writing(commit).await, Err(stopped));
        assert_eq!(scene.signals.why(), Some(why));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_ends_the_run_and_says_why() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Err(StoreError::Refused("no".to_owned())));
    let commit = scene.output.commit(Vec::new(), checkpoint("step", 1));
    assert_eq!(scene.while_writing(commit).await, Err(OutputStopped::Canceled));
    assert!(scene.output.refused().unwrap().contains("no"));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_given_up_is_written_with_the_end_of_the_run() {
    let scene = Scene::new(None);
    script(&scene.store.settle, || Ok(Settled::Now { last: Seq(2) }));
    let commit = scene.output.commit(vec![artifact("a", "1")], checkpoint("step", 1));
    assert!(futures::FutureExt::now_or_never(commit).is_none());
    let how = SettleAs::Release;
    scene.output.settle(&scene.pending, Vec::new(), how, Seq::START).await.unwrap();
    let asked = scene.store.asked();
    let Asked::Settle(settle) = &asked[0] else { panic!("{asked:?}") };
    assert_eq!(settle.output.checkpoints, [checkpoint("step", 1)]);
    assert_eq!(settle.output.entries, [artifact("a", "1")]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_makes_the_executor_wait_but_not_stall() {
    let scene = Scene::new(None);
    let limit = Duration::from_secs(5);
    let stalled = tokio::select! {
        biased;
        _ = scene.while_writing(scene.output.commit(Vec::new(), checkpoint("step", 1))) => true,
        () = scene.signals.stalled(limit) => true,
        () = tokio::time::sleep(limit * 10) => false,
    };
    assert!(!stalled);
}

#[tokio::test(start_paused = true)]
async fn what_is_emitted_in_one_go_waits_for_the_end() {
    let scene = Scene::new(Some(working()));
    script(&scene.store.append, || Ok(NOW));
    let call = async {
        scene.output.emit(vec![artifact("a", "1")]).await.unwrap();
        tokio::task::unconstrained(scene.output.emit(vec![artifact("b", "2")])).await.unwrap();
    };
    let begun = tokio::time::Instant::now();
    let end = async {
        scene.output.polled.watch(call).await;
        // The writer has heard of it, and waits.
        tokio::task::yield_now().await;
        scene.output.close();
    };
    tokio::join!(scene.output.keep_writing(&scene.pending), end);
    scene.output.emit(vec![artifact("c", "3")]).await.unwrap();
    scene.output.keep_writing(&scene.pending).await;
    assert_eq!(scene.appends(), [], "all of it goes with the end");
    assert_eq!(begun.elapsed(), Duration::ZERO, "which waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_before_the_executor_waits_is_written_at_once() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Ok(NOW));
    let begun = tokio::time::Instant::now();
    let call = async {
        scene.output.emit(vec![artifact("a", "1")]).await.unwrap();
        let written = async {
            while scene.appends().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        written.await;
        begun.elapsed()
    };
    let after = scene.while_writing(scene.output.polled.watch(call)).await;
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_computes_for_long_does_not_hold_its_output_back() {
    let scene = Scene::new(None);
    script(&scene.store.append, || Ok(NOW));
    // Ended, as far as the watch can tell, and nobody has heard of it: the same as being at it.
    scene.output.polled.watch(scene.output.emit(vec![artifact("a", "1")])).await.unwrap();
    let soon = tokio::time::sleep(Duration::from_millis(50));
    scene.while_writing(soon).await;
    assert_eq!(scene.appends().len(), 1);
}
