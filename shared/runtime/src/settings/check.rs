//! Primitive checks of settings, shared by the checks of all sections.

use super::{
    error::{KeyOrigins, SettingsError},
    values::HumanDuration,
};

/// Names that no agent may have, because paths of the server begin with them.
pub const RESERVED_AGENT_NAMES: [&str; 17] = [
    "a2a",
    "agents",
    "console",
    "executor",
    "explore",
    "extendedAgentCard",
    "healthz",
    "inbound",
    "mcp",
    "message",
    "metrics",
    "operator",
    "readyz",
    "search",
    "tasks",
    "v1",
    "well-known",
];
/// The allowed names of agents, for errors.
const AGENT_NAME_RULE: &str =
    "lower-case letters, digits and dashes, first a letter or digit, at most 63";

/// The result of a check.
pub(super) type Validated = Result<(), SettingsError>;

/// Checks settings and names the origin of bad ones.
pub(super) struct Validator<'a> {
    pub(super) origins: &'a KeyOrigins,
    // Executors that the program adds to the built-in ones.
    pub(super) registered: &'a [&'a str],
}

impl Validator<'_> {
    pub(super) fn reject(&self, key: &str, problem: impl Into<String>, allowed: &str) -> Validated {
        Err(SettingsError::new(key, self.origins.origin_of(key), problem).allowed(allowed))
    }

    pub(super) fn ensure(&self, good: bool, key: &str, problem: &str, allowed: &str) -> Validated {
        if good { Ok(()) } else { self.reject(key, problem, allowed) }
    }

    pub(super) fn positive(&self, key: &str, number: usize) -> Validated {
        self.ensure(number > 0, key, "is zero", "a whole number from 1")
    }

    pub(super) fn positive_u32(&self, key: &str, number: u32) -> Validated {
        self.ensure(number > 0, key, "is zero", "a whole number from 1")
    }

    pub(super) fn positive_duration(&self, key: &str, period: HumanDuration) -> Validated {
        self.ensure(!period.is_zero(), key, "is zero", "a length of time above zero")
    }

    pub(super) fn agent_name(&self, key: &str, name: &str) -> Validated {
        if name.is_empty() {
            return self.reject(key, "is missing or empty", AGENT_NAME_RULE);
        }
        if RESERVED_AGENT_NAMES.contains(&name) {
            return self.reject(
                key,
                format!("{name:?} is reserved"),
                &format!("any name but {}", RESERVED_AGENT_NAMES.join(", ")),
            );
        }
        self.ensure(
            is_agent_name(name),
            key,
            &format!("{name:?} is not such a name"),
            AGENT_NAME_RULE,
        )
    }
}

fn is_agent_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(inner)
        && name.bytes().all(|byte| inner(byte) || byte == b'-')
}
