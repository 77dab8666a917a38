//! The life of a plugin's process, up to its end by itself or by force.

use super::{child::Group, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::{process::Child, task::JoinHandle, time::timeout};

/// How long the streams of a dead plugin may still be drained; only a process that left its group can hold them longer.
const DRAIN: Duration = Duration::from_secs(1);

/// The process itself.
pub(super) struct Life {
    pub child: Child,
    pub group: Group,
    pub grace: Duration,
}

/// Waits for the end, or brings it about; then tells the runs.
pub(super) async fn supervise(
    shared: Arc<Shared>,
    mut life: Life,
    mut reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
) {
    let read_to_end = tokio::select! {
        () = life.end(&shared) => false,
        _ = &mut reader => {
            // Nothing can be heard from it any more.
            let patience = timeout(life.grace, life.end(&shared));
            if patience.await.is_err() {
                shared.terminating.cancel();
                life.end(&shared).await;
            }
            true
        }
    };
    let status = life.child.wait().await;
    // Its children die with it. What it has said before stands, and is in the pipe still.
    life.group.kill();
    if !read_to_end {
        let _ = timeout(DRAIN, reader).await;
    }
    let _ = timeout(DRAIN, stderr).await;
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    shared.died(status);
}

impl Life {
    /// Until the process has ended, by itself or as it was told. Safe to abandon and call again.
    async fn end(&mut self, shared: &Shared) {
        tokio::select! {
            biased;
            _ = self.child.wait() => return,
            () = shared.killing.cancelled() => {}
            () = shared.terminating.cancelled() => {
                self.group.terminate();
                if timeout(self.grace, self.child.wait()).await.is_ok() {
                    return;
                }
            }
            () = shared.closing.cancelled() => {
                tokio::select! {
                    _ = self.child.wait() => return,
                    () = shared.killing.cancelled() => {}
                    () = async {
                        tokio::select! {
                            () = tokio::time::sleep(self.grace) => {}
                            () = shared.terminating.cancelled() => {}
                        }
                        self.group.terminate();
                        tokio::time::sleep(self.grace).await;
                    } => {}
                }
            }
        }
        // Not Group::kill: the leader has not been reaped, and its children are killed again once it is.
        self.group.signal_kill();
        let _ = self.child.wait().await;
    }
}
