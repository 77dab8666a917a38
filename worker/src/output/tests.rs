//! Output against a scripted store.

use super::*;
use crate::testing::{ScriptedStore, StoreCall, fence, key, script, unavailable};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, Json, Part, TaskState, log::StatusChange,
};

struct OutputFixture {
    store: Arc<ScriptedStore>,
    signals: Arc<RunSignals>,
    output: Output,
    pending: PendingAppend,
}

impl OutputFixture {
    fn new(opening: Option<EntryBody>) -> Self {
        let (store, signals) = (Arc::<ScriptedStore>::default(), Arc::new(RunSignals::new()));
        let work: Arc<dyn WorkerStore> = Arc::<ScriptedStore>::clone(&store);
        let output = Output::new(work, key(1), fence(1), 1, Arc::clone(&signals), opening);
        Self { store, signals, output, pending: PendingAppend::default() }
    }

    fn appends(&self) -> Vec<Append> {
        let calls = self.store.calls().into_iter();
        calls
            .filter_map(|call| match call {
                StoreCall::Append(append) => Some(append),
                _ => None,
            })
            .collect()
    }

    /// Runs `work` while output is written.
    async fn while_writing<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            () = async {
                self.output.keep_writing(&self.pending).await;
                std::future::pending::<()>().await;
            } => unreachable!("it is endless"),
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

const APPENDED: Appended = Appended::Now { last: Seq(1) };

#[tokio::test(start_paused = true)]
async fn a_commit_is_one_append_with_all_earlier_output() {
    let fixture = OutputFixture::new(Some(working()));
    script(&fixture.store.append, || Ok(APPENDED));
    fixture.output.emit(vec![artifact("a", "1")]).await.unwrap();
    let commit = fixture.output.commit(vec![artifact("b", "2")], checkpoint("step", 7));
    fixture.while_writing(commit).await.unwrap();
    let appends = fixture.appends();
    assert_eq!(appends.len(), 1);
    let entries = [working(), artifact("a", "1"), artifact("b", "2")];
    assert_eq!(appends[0].entries, entries);
    assert_eq!(appends[0].checkpoints, [checkpoint("step", 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_returns_only_once_it_is_durable() {
    let fixture = OutputFixture::new(None);
    let commit = fixture.output.commit(Vec::new(), checkpoint("step", 7));
    let waited = tokio::time::timeout(Duration::from_secs(60), fixture.while_writing(commit)).await;
    assert!(waited.is_err(), "the store has not answered");
    assert_eq!(fixture.appends().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_response_was_lost_is_repeated_under_its_operation_number() {
    let fixture = OutputFixture::new(None);
    let mut answers = vec![Ok(Appended::Already { last: Seq(2) }), unavailable(), unavailable()];
    script(&fixture.store.append, move || answers.pop().unwrap());
    let commit = fixture.output.commit(vec![artifact("a", "1")], checkpoint("step", 7));
    fixture.while_writing(commit).await.unwrap();
    let appends = fixture.appends();
    assert_eq!(appends.len(), 3);
    assert!(appends.iter().all(|append| *append == appends[0]), "{appends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_never_split_even_behind_a_full_buffer() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Ok(APPENDED));
    while fixture.output.lock().has_room() {
        fixture.output.emit(vec![artifact("a", "1")]).await.unwrap();
    }
    let many: Vec<_> = (0..1_000).map(|_| artifact("b", "2")).collect();
    let commit = fixture.output.commit(many, checkpoint("step", 7));
    fixture.while_writing(commit).await.unwrap();
    let with_b =
        |append: &Append| append.entries.iter().filter(|e| **e == artifact("b", "2")).count();
    let appends = fixture.appends();
    assert_eq!(appends.iter().map(with_b).collect::<Vec<_>>(), [1_000]);
    assert_eq!(appends[0].checkpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_append_holds_the_last_value_of_a_checkpoint() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Ok(APPENDED));
    let commits = async {
        let earlier = fixture.output.commit(vec![artifact("a", "1")], checkpoint("place", 1));
        let later = fixture.output.commit(vec![artifact("a", "2")], checkpoint("place", 2));
        tokio::try_join!(earlier, later).unwrap();
    };
    fixture.while_writing(commits).await;
    let appends = fixture.appends();
    assert_eq!(appends.len(), 1);
    assert_eq!(appends[0].checkpoints, [checkpoint("place", 2)]);
    assert_eq!(appends[0].entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn large_content_of_a_commit_is_stored_as_a_blob() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Ok(APPENDED));
    let large = "x".repeat(longhaul_domain::MAX_INLINE_CONTENT_BYTES + 1);
    let commit = fixture.output.commit(vec![artifact("a", &large)], checkpoint("step", 1));
    fixture.while_writing(commit).await.unwrap();
    let appends = fixture.appends();
    assert_eq!(appends[0].blobs.len(), 1);
    assert_ne!(appends[0].entries, [artifact("a", &large)]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_commit_reports_a_lost_lease_to_the_executor() {
    for (answer, stopped, reason) in [
        (Appended::Fenced, OutputStopped::LeaseLost, StopReason::LeaseLost),
        (Appended::Ended(TaskState::Canceled), OutputStopped::Canceled, StopReason::Canceled),
    ] {
        let fixture = OutputFixture::new(None);
        script(&fixture.store.append, move || Ok(answer));
        let commit = fixture.output.commit(Vec::new(), checkpoint("step", 1));
        assert_eq!(fixture.while_writing(commit).await, Err(stopped));
        assert_eq!(fixture.signals.stop_reason(), Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_stops_the_run_and_keeps_the_reason() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Err(StoreError::Refused("no".to_owned())));
    let commit = fixture.output.commit(Vec::new(), checkpoint("step", 1));
    assert_eq!(fixture.while_writing(commit).await, Err(OutputStopped::Canceled));
    assert!(fixture.output.refusal().unwrap().contains("no"));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_commit_is_written_with_the_settlement() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.settle, || Ok(Settled::Now { last: Seq(2) }));
    let commit = fixture.output.commit(vec![artifact("a", "1")], checkpoint("step", 1));
    assert!(futures::FutureExt::now_or_never(commit).is_none());
    let how = SettleAs::Release;
    fixture.output.settle(&fixture.pending, Vec::new(), how, Seq::START).await.unwrap();
    let calls = fixture.store.calls();
    let StoreCall::Settle(settle) = &calls[0] else { panic!("{calls:?}") };
    assert_eq!(settle.output.checkpoints, [checkpoint("step", 1)]);
    assert_eq!(settle.output.entries, [artifact("a", "1")]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_does_not_count_as_a_stalled_executor() {
    let fixture = OutputFixture::new(None);
    let limit = Duration::from_secs(5);
    let stalled = tokio::select! {
        biased;
        _ = fixture.while_writing(fixture.output.commit(Vec::new(), checkpoint("step", 1))) => true,
        () = fixture.signals.wait_stalled(limit) => true,
        () = tokio::time::sleep(limit * 10) => false,
    };
    assert!(!stalled);
}

#[tokio::test(start_paused = true)]
async fn a_burst_before_the_end_is_left_to_the_settlement() {
    let fixture = OutputFixture::new(Some(working()));
    script(&fixture.store.append, || Ok(APPENDED));
    let call = async {
        fixture.output.emit(vec![artifact("a", "1")]).await.unwrap();
        tokio::task::unconstrained(fixture.output.emit(vec![artifact("b", "2")])).await.unwrap();
    };
    let begun = tokio::time::Instant::now();
    let end = async {
        fixture.output.polls.track(call).await;
        // The writer has been notified, and waits.
        tokio::task::yield_now().await;
        fixture.output.close();
    };
    tokio::join!(fixture.output.keep_writing(&fixture.pending), end);
    fixture.output.emit(vec![artifact("c", "3")]).await.unwrap();
    fixture.output.keep_writing(&fixture.pending).await;
    assert_eq!(fixture.appends(), [], "all of it goes with the settlement");
    assert_eq!(begun.elapsed(), Duration::ZERO, "which is not delayed");
}

#[tokio::test(start_paused = true)]
async fn output_is_written_at_once_when_the_executor_waits() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Ok(APPENDED));
    let begun = tokio::time::Instant::now();
    let call = async {
        fixture.output.emit(vec![artifact("a", "1")]).await.unwrap();
        let written = async {
            while fixture.appends().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        written.await;
        begun.elapsed()
    };
    let after = fixture.while_writing(fixture.output.polls.track(call)).await;
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_long_computation_does_not_hold_its_output_back() {
    let fixture = OutputFixture::new(None);
    script(&fixture.store.append, || Ok(APPENDED));
    // A tracked future that has returned counts as being polled.
    fixture.output.polls.track(fixture.output.emit(vec![artifact("a", "1")])).await.unwrap();
    let soon = tokio::time::sleep(Duration::from_millis(50));
    fixture.while_writing(soon).await;
    assert_eq!(fixture.appends().len(), 1);
}
