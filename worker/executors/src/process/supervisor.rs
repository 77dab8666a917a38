//! The supervisor of a plugin's process, up to its end by itself or by force.

use super::{child::ProcessGroup, plugin_state::PluginState};
use std::{sync::Arc, time::Duration};
use tokio::{process::Child, task::JoinHandle, time::timeout};

/// Time limit for draining the streams of a dead plugin. Only a process that left its group can
/// hold them longer.
const STREAM_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The process of a plugin.
pub(super) struct PluginProcess {
    pub child: Child,
    pub group: ProcessGroup,
    pub grace: Duration,
}

/// Waits for the end of the process, or ends it on request. Then reports it to the runs.
pub(super) async fn supervise(
    state: Arc<PluginState>,
    mut process: PluginProcess,
    mut stdout_reader: JoinHandle<()>,
    stderr_reader: JoinHandle<()>,
) {
    let read_to_end = tokio::select! {
        () = process.wait_or_end(&state) => false,
        _ = &mut stdout_reader => {
            // It can send nothing more: give it the grace period, then end it.
            let exited = timeout(process.grace, process.wait_or_end(&state));
            if exited.await.is_err() {
                state.terminating.cancel();
                process.wait_or_end(&state).await;
            }
            true
        }
    };
    let status = process.child.wait().await;
    // Its children die with it. Output from before the end is still in the pipe and counts.
    process.group.kill();
    if !read_to_end {
        let _ = timeout(STREAM_DRAIN_TIMEOUT, stdout_reader).await;
    }
    let _ = timeout(STREAM_DRAIN_TIMEOUT, stderr_reader).await;
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    state.exited(status);
}

impl PluginProcess {
    /// Waits until the process has ended, by itself or as requested. Cancel safe.
    async fn wait_or_end(&mut self, state: &PluginState) {
        tokio::select! {
            biased;
            _ = self.child.wait() => return,
            () = state.killing.cancelled() => {}
            () = state.terminating.cancelled() => {
                self.group.terminate();
                if timeout(self.grace, self.child.wait()).await.is_ok() {
                    return;
                }
            }
            () = state.closing.cancelled() => {
                tokio::select! {
                    _ = self.child.wait() => return,
                    () = state.killing.cancelled() => {}
                    () = async {
                        tokio::select! {
                            () = tokio::time::sleep(self.grace) => {}
                            () = state.terminating.cancelled() => {}
                        }
                        self.group.terminate();
                        tokio::time::sleep(self.grace).await;
                    } => {}
                }
            }
        }
        // Not ProcessGroup::kill: the leader has not been reaped, and its children are killed again
        // once it is.
        self.group.signal_kill();
        let _ = self.child.wait().await;
    }
}
