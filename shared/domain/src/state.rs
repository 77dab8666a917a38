//! The task state machine (A2A 4.1.3), the only definition of legal transitions.
//!
//! ```text
//! submitted ──start──► working ──complete──► completed
//!     ▲                 │   │ ├──fail──────► failed
//!     │                 │   │ └──reject────► rejected
//!     └──wake── input-required, auth-required     (cancel: from every state that is not terminal)
//! ```
//!
//! Queueing is internal: a task that waits for its next attempt is still `working`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Accepted and not started, or woken and not started again.
    Submitted,
    /// Running, or waiting for the next attempt after a failed one.
    Working,
    /// Ended successfully.
    Completed,
    /// Ended by a final failure.
    Failed,
    /// Ended by a cancel.
    Canceled,
    /// Parked until the client sends a message.
    InputRequired,
    /// Ended because the agent rejected it.
    Rejected,
    /// Parked until an authorization arrives.
    AuthRequired,
}

/// A terminal state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TerminalState {
    /// Ended successfully.
    Completed,
    /// Ended by a final failure.
    Failed,
    /// Ended by a cancel.
    Canceled,
    /// Ended because the agent rejected it.
    Rejected,
}

/// A state that waits for the client or an authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkedState {
    /// Waits for a message.
    InputRequired,
    /// Waits for an authorization.
    AuthRequired,
}

/// A transition of a task's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The executor started or reported progress.
    Work,
    /// The executor waits for input or an authorization.
    Park(ParkedState),
    /// A message or an authorization arrived for a parked task.
    Wake,
    /// The task ended.
    End(TerminalState),
}

/// The error of a transition that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot take the transition {transition:?}")]
pub struct InvalidTransition {
    /// The state, which is unchanged.
    pub from: TaskState,
    /// The transition.
    pub transition: Transition,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Submitted,
        Self::Working,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::InputRequired,
        Self::Rejected,
        Self::AuthRequired,
    ];

    /// The state after a transition.
    pub const fn after(self, transition: Transition) -> Result<Self, InvalidTransition> {
        use TerminalState as End;
        match (self, transition) {
            // Progress repeats `working`; only the first one starts the task.
            (Self::Submitted | Self::Working, Transition::Work) => Ok(Self::Working),
            (Self::Working, Transition::Park(parked)) => Ok(parked.state()),
            // Back to the queue: the wake does not start the executor itself.
            (Self::InputRequired | Self::AuthRequired, Transition::Wake) => Ok(Self::Submitted),
            // A task that is not running can still be canceled, or fail by a timeout or its
            // deadline.
            (Self::Working, Transition::End(end))
            | (
                Self::Submitted | Self::InputRequired | Self::AuthRequired,
                Transition::End(end @ (End::Canceled | End::Failed)),
            ) => Ok(end.state()),
            (from, transition) => Err(InvalidTransition { from, transition }),
        }
    }

    /// The transition that leads to this state.
    pub const fn transition_to(self) -> Transition {
        match self {
            Self::Submitted => Transition::Wake,
            Self::Working => Transition::Work,
            Self::InputRequired => Transition::Park(ParkedState::InputRequired),
            Self::AuthRequired => Transition::Park(ParkedState::AuthRequired),
            Self::Completed => Transition::End(TerminalState::Completed),
            Self::Failed => Transition::End(TerminalState::Failed),
            Self::Canceled => Transition::End(TerminalState::Canceled),
            Self::Rejected => Transition::End(TerminalState::Rejected),
        }
    }

    /// Tells whether the state is terminal.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// Tells whether the task is parked (A2A: interrupted).
    pub const fn is_parked(self) -> bool {
        matches!(self, Self::InputRequired | Self::AuthRequired)
    }

    /// The number of the state in a store and in the protocol's enum (A2A 4.1.3). Never changes.
    pub const fn number(self) -> i16 {
        match self {
            Self::Submitted => 1,
            Self::Working => 2,
            Self::Completed => 3,
            Self::Failed => 4,
            Self::Canceled => 5,
            Self::InputRequired => 6,
            Self::Rejected => 7,
            Self::AuthRequired => 8,
        }
    }

    /// The state with this number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The name, as in `input-required`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Working => "working",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::InputRequired => "input-required",
            Self::Rejected => "rejected",
            Self::AuthRequired => "auth-required",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TerminalState {
    /// Converts to a task state.
    pub const fn state(self) -> TaskState {
        match self {
            Self::Completed => TaskState::Completed,
            Self::Failed => TaskState::Failed,
            Self::Canceled => TaskState::Canceled,
            Self::Rejected => TaskState::Rejected,
        }
    }
}

impl ParkedState {
    /// Converts to a task state.
    pub const fn state(self) -> TaskState {
        match self {
            Self::InputRequired => TaskState::InputRequired,
            Self::AuthRequired => TaskState::AuthRequired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRANSITIONS: [Transition; 8] = [
        Transition::Work,
        Transition::Wake,
        Transition::Park(ParkedState::InputRequired),
        Transition::Park(ParkedState::AuthRequired),
        Transition::End(TerminalState::Completed),
        Transition::End(TerminalState::Failed),
        Transition::End(TerminalState::Canceled),
        Transition::End(TerminalState::Rejected),
    ];

    /// The complete transition table; every pair that is missing is illegal.
    fn legal(from: TaskState) -> &'static [TaskState] {
        use TaskState::*;
        match from {
            Submitted => &[Working, Failed, Canceled],
            Working => {
                &[Working, InputRequired, AuthRequired, Completed, Failed, Canceled, Rejected]
            }
            InputRequired | AuthRequired => &[Submitted, Failed, Canceled],
            Completed | Failed | Canceled | Rejected => &[],
        }
    }

    #[test]
    fn transitions_agree_with_the_table() {
        for from in TaskState::ALL {
            for transition in TRANSITIONS {
                let to =
                    TaskState::ALL.into_iter().find(|s| s.transition_to() == transition).unwrap();
                let expected = if legal(from).contains(&to) {
                    Ok(to)
                } else {
                    Err(InvalidTransition { from, transition })
                };
                assert_eq!(from.after(transition), expected, "{from} {transition:?}");
            }
        }
    }

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::from_number(state.number()), Some(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!(TaskState::from_number(0), None);
    }

    proptest! {
        #[test]
        fn a_terminal_state_is_never_left(steps in proptest::collection::vec(0usize..8, 0..40)) {
            let mut state = TaskState::Submitted;
            let mut ended = None;
            for step in steps {
                match state.after(TRANSITIONS[step]) {
                    Ok(next) => {
                        prop_assert!(ended.is_none(), "left {ended:?} for {next}");
                        state = next;
                    }
                    Err(refused) => prop_assert_eq!(refused.from, state),
                }
                if state.is_terminal() && ended.is_none() {
                    ended = Some(state);
                }
            }
            prop_assert_eq!(ended.is_some(), state.is_terminal());
        }

        #[test]
        fn a_parked_task_only_wakes_or_ends(step in 0usize..8, auth in any::<bool>()) {
            let state = if auth { TaskState::AuthRequired } else { TaskState::InputRequired };
            if let Ok(next) = state.after(TRANSITIONS[step]) {
                prop_assert!(next == TaskState::Submitted || next.is_terminal());
            }
        }
    }
}
