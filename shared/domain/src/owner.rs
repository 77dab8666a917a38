//! Principals, API keys and scopes.

use crate::OwnerId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The public id of an API key, shown in lists and logs. It grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A permission of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Get, list and subscribe to tasks.
    Read,
    /// Send messages and cancel.
    Write,
    /// Administer the owner's resources; includes `read` and `write`.
    Admin,
    /// Operate the deployment: dead letters, queues, workers and schedules of every owner. Includes
    /// no other scope and is included in none.
    Operator,
}

impl Scope {
    /// The name, as in `admin`.
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
    /// Creates a set, without duplicates.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
    /// The set of all scopes.
    pub fn all() -> Self {
        Self::new([Scope::Read, Scope::Write, Scope::Admin, Scope::Operator])
    }
    /// Tells whether the set grants a scope; `admin` grants all except `operator`.
    pub fn allows(&self, scope: Scope) -> bool {
        // `operator` reaches across owners, so the owner's `admin` must not imply it.
        self.0.contains(&scope) || (scope != Scope::Operator && self.0.contains(&Scope::Admin))
    }
    /// Iterates over the scopes of the set, without those that `admin` implies.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

/// The authenticated principal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The owner on whose behalf it acts.
    pub owner: OwnerId,
    /// The API key; none while authentication is off.
    pub key: Option<KeyId>,
    /// The permissions.
    pub scopes: Scopes,
}

impl Principal {
    /// The principal of every request while authentication is off.
    pub fn local() -> Self {
        Self { owner: OwnerId::LOCAL, key: None, scopes: Scopes::all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_scope_is_separate_from_all_others() {
        assert!(!Scopes::new([Scope::Admin]).allows(Scope::Operator));
        let operator = Scopes::new([Scope::Operator]);
        assert!(operator.allows(Scope::Operator) && !operator.allows(Scope::Read));
        assert!(Principal::local().scopes.allows(Scope::Operator));
        assert_eq!("operator".parse(), Ok(Scope::Operator));
    }

    #[test]
    fn admin_grants_read_and_write_and_read_does_not_grant_write() {
        let admin = Scopes::new([Scope::Admin]);
        assert!(admin.allows(Scope::Read) && admin.allows(Scope::Write));
        let read = Scopes::new([Scope::Read, Scope::Read]);
        assert!(read.allows(Scope::Read) && !read.allows(Scope::Write));
        assert_eq!(read.iter().count(), 1);
    }
}
