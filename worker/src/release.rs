//! Gives a run back.

use longhaul_domain::{Fence, Seq, TaskKey};
use longhaul_store::{Append, Settle, SettleAs};

/// Offers a run to others, whatever was written of it so far.
pub const fn release(key: TaskKey, fence: Fence, attempt: i32) -> Settle {
    let output = Append {
        key,
        fence,
        // Behind every operation of the run.
        op: i32::MAX,
        attempt,
        entries: Vec::new(),
        blobs: Vec::new(),
        checkpoints: Vec::new(),
    };
    Settle { how: SettleAs::Release, read_up_to: Seq::START, output }
}
