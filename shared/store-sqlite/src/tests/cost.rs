//! An event costs the same on a long task: an append adds pages and rewrites none.

use super::{asks, claim, open};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, EntryBody, Part, TaskState, log::StatusChange,
};
use longhaul_runtime::SystemClock;
use longhaul_store::{Append, Appended, ClaimedRun, IntakeStore, WorkerStore};
use std::{path::Path, sync::Arc};

/// Chunks over which the cost of one is averaged.
const MEASURED_CHUNKS: usize = 50;

fn chunk() -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text("x".repeat(500))]);
    EntryBody::Artifact(ArtifactUpdate {
        artifact,
        append: true,
        last_chunk: false,
        metadata: None,
    })
}

struct Writer<'a> {
    store: &'a crate::SqliteStore,
    claimed: ClaimedRun,
    op: i32,
    chunks: usize,
}

impl Writer<'_> {
    async fn append(&mut self, entries: Vec<EntryBody>) {
        self.op += 1;
        let ClaimedRun { key, fence, attempt, .. } = self.claimed;
        let append = Append {
            key,
            fence,
            op: self.op,
            attempt,
            entries,
            blobs: Vec::new(),
            checkpoints: Vec::new(),
        };
        let outcome = self.store.append(append).await.unwrap();
        assert!(matches!(outcome, Appended::Now { .. }), "{outcome:?}");
    }

    async fn grow_to(&mut self, chunks: usize) {
        while self.chunks < chunks {
            let some = (chunks - self.chunks).min(100);
            self.append(vec![chunk(); some]).await;
            self.chunks += some;
        }
    }
}

fn written(folder: &Path) -> u64 {
    folder.join("longhaul.db-wal").metadata().unwrap().len()
}

#[tokio::test]
async fn a_chunk_writes_as_much_on_a_long_task_as_on_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    // Without checkpoints the write-ahead log only grows, by exactly the bytes written.
    let grow_only = |tx: &mut crate::writer::Tx<'_>| {
        Ok(tx.conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?)
    };
    store.writer.write(0, grow_only).await.unwrap();
    store.accept_new(asks("m", "hello")).await.unwrap();
    let claimed = claim(&store).await;
    let mut writer = Writer { store: &store, claimed, op: 0, chunks: 0 };
    writer.append(vec![EntryBody::Status(StatusChange::to(TaskState::Working))]).await;
    let mut costs = Vec::new();
    for length in [100, 1_000, 10_000] {
        writer.grow_to(length).await;
        let before = written(folder.path());
        for _ in 0..MEASURED_CHUNKS {
            writer.append(vec![chunk()]).await;
        }
        writer.chunks += MEASURED_CHUNKS;
        let cost = (written(folder.path()) - before) / MEASURED_CHUNKS as u64;
        println!("at {length} chunks one more writes {cost} bytes");
        costs.push(cost);
    }
    assert!(costs[2] * 10 <= costs[0] * 13, "at most 1.3 times as much: {costs:?}");
    assert!(costs[2] < 10 * 4_096, "a few pages: {costs:?}");
}
