//! What the client's version of the protocol expects of waits and streams, as values: a use case follows them and does not
//! ask which version they come from.

use longhaul_domain::{Seq, TaskState};
use longhaul_wire::{Dialect, WaitEnd};

/// What a client's version of the protocol expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// When it is done waiting.
    pub ends: WaitEnd,
    /// Whether it may be answered with a message instead of a task.
    pub replies: bool,
    /// Whether a subscription to a task that has ended shows that task; else it is an error.
    pub ended_shown: bool,
    /// Whether it names tasks itself, also those that do not exist yet, and gives its messages no ids: one follows from what
    /// is said.
    pub names_tasks: bool,
    /// How many messages it is shown where it cannot say how many; `None` for all.
    pub history: Option<u32>,
    /// By what it knows artifacts.
    pub artifacts: Artifacts,
}

/// By what a client knows artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifacts {
    /// By their ids.
    ByIds,
    /// By their places among those of the task: whoever shows it one must have seen all before it.
    ByPlaces,
}

impl Rules {
    /// Those of a dialect.
    pub const fn of(dialect: Dialect) -> Self {
        Self {
            ends: dialect.ends(),
            replies: dialect.supports_direct_replies(),
            ended_shown: dialect.shows_ended_tasks(),
            names_tasks: dialect.clients_choose_ids(),
            history: if dialect.shows_history() { None } else { Some(0) },
            artifacts: if dialect.indexes_artifacts() {
                Artifacts::ByPlaces
            } else {
                Artifacts::ByIds
            },
        }
    }
}

/// Which states end a stream. A state that parks a task counts only from a place of the log on: what lies before was
/// answered long ago, and a replay goes past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// That of a send, whose message is at this place: a park behind it counts.
    Answered(WaitEnd, Seq),
    /// A subscription to a task whose status is of this place: that park counts, and later ones.
    Left(WaitEnd, Seq),
}

impl Until {
    /// Whether a stream ends with this state, reached at this place.
    pub const fn ends_with(self, state: TaskState, at: Seq) -> bool {
        if state.is_terminal() {
            return true;
        }
        match self {
            Self::Answered(ends, message) => ends.stream(state) && at.0 > message.0,
            Self::Left(ends, status) => ends.subscription(state) && at.0 >= status.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState as S;

    #[test]
    fn a_send_ends_at_a_question_after_its_message_and_a_subscription_only_at_the_end() {
        let send = Until::Answered(WaitEnd::AtAnyParkForSends, Seq(5));
        assert!(!send.ends_with(S::InputRequired, Seq(4)));
        assert!(send.ends_with(S::InputRequired, Seq(6)));
        assert!(!send.ends_with(S::AuthRequired, Seq(6)));
        assert!(send.ends_with(S::Failed, Seq(6)));
        let left = Until::Left(WaitEnd::AtAnyParkForSends, Seq(5));
        assert!(!left.ends_with(S::InputRequired, Seq(6)));
        assert!(left.ends_with(S::Canceled, Seq(6)));
    }

    #[test]
    fn before_1_0_a_subscription_ends_at_a_park_but_a_replay_goes_past_those_that_were_answered() {
        let left = Until::Left(WaitEnd::AtAnyPark, Seq(9));
        assert!(!left.ends_with(S::InputRequired, Seq(4)));
        assert!(left.ends_with(S::InputRequired, Seq(9)));
        assert!(left.ends_with(S::AuthRequired, Seq(12)));
        assert!(!left.ends_with(S::Working, Seq(12)));
    }
}
