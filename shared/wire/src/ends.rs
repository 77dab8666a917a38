//! When a client is done waiting. Versions differ in whether a task that is parked ends a wait or a stream; a use case gets the
//! rule as a value and does not ask which version it comes from.

use longhaul_domain::TaskState;

/// When a client is done waiting. In every version it is when the task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitEnd {
    /// 1.0: a send is answered by any parked state. The stream of a send ends when the task asks for input, and a
    /// subscription does not end while the task lives.
    AtAnyParkForSends,
    /// JSON of 0.3 and before: any parked state ends everything.
    AtAnyPark,
    /// `ProtoJSON` of 0.3: a question ends everything. Waiting for an authorization ends nothing, as that is given elsewhere
    /// and the task goes on by itself.
    AtQuestion,
}

impl WaitEnd {
    /// Whether a send that waits is answered in this state.
    pub const fn wait(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends | Self::AtAnyPark => state.is_terminal() || state.is_parked(),
            Self::AtQuestion => state.is_terminal() || matches!(state, TaskState::InputRequired),
        }
    }

    /// Whether the stream of a send ends with the event of this state.
    pub const fn stream(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends | Self::AtQuestion => {
                state.is_terminal() || matches!(state, TaskState::InputRequired)
            }
            Self::AtAnyPark => state.is_terminal() || state.is_parked(),
        }
    }

    /// Whether a subscription ends with the event, or the snapshot, of this state.
    pub const fn subscription(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends => state.is_terminal(),
            Self::AtAnyPark | Self::AtQuestion => self.stream(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState as S;

    #[test]
    fn every_end_ends_everything_and_work_ends_nothing() {
        for rule in [WaitEnd::AtAnyParkForSends, WaitEnd::AtAnyPark, WaitEnd::AtQuestion] {
            for state in [S::Completed, S::Failed, S::Canceled, S::Rejected] {
                assert!(rule.wait(state) && rule.stream(state) && rule.subscription(state));
            }
            for state in [S::Submitted, S::Working] {
                assert!(!rule.wait(state) && !rule.stream(state) && !rule.subscription(state));
            }
        }
    }

    #[test]
    fn parked_states_end_what_their_version_says() {
        let told =
            |rule: WaitEnd, state| (rule.wait(state), rule.stream(state), rule.subscription(state));
        assert_eq!(told(WaitEnd::AtAnyParkForSends, S::InputRequired), (true, true, false));
        assert_eq!(told(WaitEnd::AtAnyParkForSends, S::AuthRequired), (true, false, false));
        assert_eq!(told(WaitEnd::AtAnyPark, S::InputRequired), (true, true, true));
        assert_eq!(told(WaitEnd::AtAnyPark, S::AuthRequired), (true, true, true));
        assert_eq!(told(WaitEnd::AtQuestion, S::InputRequired), (true, true, true));
        assert_eq!(told(WaitEnd::AtQuestion, S::AuthRequired), (false, false, false));
    }
}
