//! Rules that end waits and streams. Versions differ in whether a parked task ends them; use cases
//! receive the rule as a value and do not ask for the version.

use longhaul_domain::TaskState;

/// Rule that ends waits and streams. Terminal states end everything in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitEnd {
    /// Rule of 1.0: any parked state ends a waiting send. A question ends the stream of a send;
    /// nothing but the end of the task ends a subscription.
    AtAnyParkForSends,
    /// Rule of 0.1 and JSON of 0.3: any parked state ends everything.
    AtAnyPark,
    /// Rule of `ProtoJSON` 0.3: a question ends everything. A pending authorization ends nothing,
    /// since it is granted elsewhere and the task then continues on its own.
    AtQuestion,
}

impl WaitEnd {
    /// Tells if this state ends a waiting send.
    pub const fn ends_wait(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends | Self::AtAnyPark => state.is_terminal() || state.is_parked(),
            Self::AtQuestion => state.is_terminal() || matches!(state, TaskState::InputRequired),
        }
    }

    /// Tells if this state ends the stream of a send.
    pub const fn ends_stream(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends | Self::AtQuestion => {
                state.is_terminal() || matches!(state, TaskState::InputRequired)
            }
            Self::AtAnyPark => state.is_terminal() || state.is_parked(),
        }
    }

    /// Tells if this state ends a subscription, as an event or as a snapshot.
    pub const fn ends_subscription(self, state: TaskState) -> bool {
        match self {
            Self::AtAnyParkForSends => state.is_terminal(),
            Self::AtAnyPark | Self::AtQuestion => self.ends_stream(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState as S;

    #[test]
    fn terminal_states_end_everything_and_active_ones_nothing() {
        for rule in [WaitEnd::AtAnyParkForSends, WaitEnd::AtAnyPark, WaitEnd::AtQuestion] {
            for state in [S::Completed, S::Failed, S::Canceled, S::Rejected] {
                assert!(
                    rule.ends_wait(state)
                        && rule.ends_stream(state)
                        && rule.ends_subscription(state)
                );
            }
            for state in [S::Submitted, S::Working] {
                assert!(
                    !rule.ends_wait(state)
                        && !rule.ends_stream(state)
                        && !rule.ends_subscription(state)
                );
            }
        }
    }

    #[test]
    fn parked_states_end_waits_by_version() {
        let ends = |rule: WaitEnd, state| {
            (rule.ends_wait(state), rule.ends_stream(state), rule.ends_subscription(state))
        };
        assert_eq!(ends(WaitEnd::AtAnyParkForSends, S::InputRequired), (true, true, false));
        assert_eq!(ends(WaitEnd::AtAnyParkForSends, S::AuthRequired), (true, false, false));
        assert_eq!(ends(WaitEnd::AtAnyPark, S::InputRequired), (true, true, true));
        assert_eq!(ends(WaitEnd::AtAnyPark, S::AuthRequired), (true, true, true));
        assert_eq!(ends(WaitEnd::AtQuestion, S::InputRequired), (true, true, true));
        assert_eq!(ends(WaitEnd::AtQuestion, S::AuthRequired), (false, false, false));
    }
}
