//! Who asks, and what they may do.

use crate::OwnerId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Name of an API key: shown in lists and logs; it opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Get, list and subscribe to tasks.
    Read,
    /// Send messages and cancel.
    Write,
    /// Administer what belongs to the owner; includes the two above.
    Admin,
    /// Operate the deployment: dead letters, queues, workers and schedules of every owner. No other scope includes it, and it
    /// includes none.
    Operator,
}

impl Scope {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            "operator" => Ok(Self::Operator),
            other => Err(format!("unknown scope {other:?}; use read, write, admin or operator")),
        }
    }
}

/// A set of scopes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Those given, each once.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
    /// All of them.
    pub fn all() -> Self {
        Self::new([Scope::Read, Scope::Write, Scope::Admin, Scope::Operator])
    }
    /// Whether a scope is granted; `admin` grants every one but `operator`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || (scope != Scope::Operator && self.0.contains(&Scope::Admin))
    }
    /// Those that were given.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

/// Somebody who showed who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// On whose behalf.
    pub owner: OwnerId,
    /// By which key; none where authentication is switched off.
    pub key: Option<KeyId>,
    /// What they may do.
    pub scopes: Scopes,
}

impl Principal {
    /// Everybody, where authentication is switched off.
    pub fn local() -> Self {
        Self { owner: OwnerId::LOCAL, key: None, scopes: Scopes::all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operator_operates_and_does_nothing_else() {
        assert!(!Scopes::new([Scope::Admin]).allows(Scope::Operator));
        let operator = Scopes::new([Scope::Operator]);
        assert!(operator.allows(Scope::Operator) && !operator.allows(Scope::Read));
        assert!(Principal::local().scopes.allows(Scope::Operator));
        assert_eq!("operator".parse(), Ok(Scope::Operator));
    }

    #[test]
    fn admin_may_do_everything_with_tasks_and_read_may_not_write() {
        let admin = Scopes::new([Scope::Admin]);
        assert!(admin.allows(Scope::Read) && admin.allows(Scope::Write));
        let read = Scopes::new([Scope::Read, Scope::Read]);
        assert!(read.allows(Scope::Read) && !read.allows(Scope::Write));
        assert_eq!(read.iter().count(), 1);
    }
}
