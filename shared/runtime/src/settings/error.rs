//! What is wrong with the settings, said so that it can be put right.

use std::{fmt, path::PathBuf};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// In a file, at a line (1 is the first) when known.
    File(PathBuf, Option<usize>),
    /// In an environment variable.
    Environment(String),
    /// By a flag on the command line.
    Flag(String),
    /// Nowhere: a default, or a value made by code.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the settings. Never shows the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct SettingsError(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    key: String,
    origin: SettingOrigin,
    problem: String,
    allowed: Option<String>,
    nearest: Option<String>,
}

impl SettingsError {
    pub(super) fn new(
        key: impl Into<String>,
        origin: SettingOrigin,
        problem: impl Into<String>,
    ) -> Self {
        Self(Box::new(Details {
            key: key.into(),
            origin,
            problem: problem.into(),
            allowed: None,
            nearest: None,
        }))
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.0.allowed = Some(allowed.into());
        self
    }

    pub(super) fn nearest(mut self, nearest: Option<String>) -> Self {
        self.0.nearest = nearest;
        self
    }

    /// The key as a dotted path such as `server.listen` or `agent[0].name`; empty when the problem is not with one key.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Where it was set.
    pub fn origin(&self) -> &SettingOrigin {
        &self.0.origin
    }

    fn sentence(&self) -> String {
        let Details { key, origin, problem, allowed, nearest } = &*self.0;
        let mut sentence = match (key.is_empty(), origin) {
            (true, origin) => format!("{origin}: {problem}"),
            (false, SettingOrigin::Default) => format!("{key}: {problem}"),
            (false, origin) => format!("{key} ({origin}): {problem}"),
        };
        if let Some(nearest) = nearest {
            sentence.push_str("; did you mean ");
            sentence.push_str(nearest);
            sentence.push('?');
        }
        if let Some(allowed) = allowed {
            sentence.push_str("; allowed: ");
            sentence.push_str(allowed);
        }
        sentence
    }
}
