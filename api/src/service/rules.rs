//! Expectations of a client's protocol version, as values: a use case follows them without knowing
//! the version.

use longhaul_domain::{Seq, TaskState};
use longhaul_wire::WaitEnd;

/// Expectations of a client's protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRules {
    /// States in which a wait or a stream ends.
    pub ends: WaitEnd,
    /// True when a message may be answered with a message instead of a task.
    pub replies: bool,
    /// True when a subscription to an ended task shows it; otherwise it is an error.
    pub ended_shown: bool,
    /// True when clients choose task ids, and their messages have none: ids are derived from the
    /// words.
    pub names_tasks: bool,
    /// Messages shown when the client cannot ask for a number; `None` for all.
    pub history: Option<u32>,
    /// Identification of artifacts.
    pub artifacts: ArtifactKeys,
}

/// Identification of artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactKeys {
    /// Artifacts are identified by id.
    ById,
    /// Artifacts are identified by position among the task's artifacts: a client must have been sent all before it.
    ByPosition,
}

/// The condition that ends a stream. A parking state counts only from some entry on: earlier ones
/// were answered long ago, and a replay passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// After a send with the message at this entry: later parks count.
    AfterSend(WaitEnd, Seq),
    /// After a subscription to a task whose status is at this entry: this park counts, and later
    /// ones.
    Subscription(WaitEnd, Seq),
}

impl StreamEnd {
    /// True when a stream ends with this state, reached at this entry.
    pub const fn ends_with(self, state: TaskState, at: Seq) -> bool {
        // An end counts wherever it stands.
        if state.is_terminal() {
            return true;
        }
        match self {
            Self::AfterSend(ends, message) => ends.ends_stream(state) && at.0 > message.0,
            Self::Subscription(ends, status) => ends.ends_subscription(state) && at.0 >= status.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState as S;

    #[test]
    fn a_send_ends_at_a_later_question_and_a_subscription_at_the_end() {
        let send = StreamEnd::AfterSend(WaitEnd::AtAnyParkForSends, Seq(5));
        assert!(!send.ends_with(S::InputRequired, Seq(4)));
        assert!(send.ends_with(S::InputRequired, Seq(6)));
        assert!(!send.ends_with(S::AuthRequired, Seq(6)));
        assert!(send.ends_with(S::Failed, Seq(6)));
        let left = StreamEnd::Subscription(WaitEnd::AtAnyParkForSends, Seq(5));
        assert!(!left.ends_with(S::InputRequired, Seq(6)));
        assert!(left.ends_with(S::Canceled, Seq(6)));
    }

    #[test]
    fn before_1_0_a_subscription_ends_at_a_park_but_a_replay_passes_answered_ones() {
        let left = StreamEnd::Subscription(WaitEnd::AtAnyPark, Seq(9));
        assert!(!left.ends_with(S::InputRequired, Seq(4)));
        assert!(left.ends_with(S::InputRequired, Seq(9)));
        assert!(left.ends_with(S::AuthRequired, Seq(12)));
        assert!(!left.ends_with(S::Working, Seq(12)));
    }
}
