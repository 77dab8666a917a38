//! Errors of settings, with the origin of the value and the remedy.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// A file, with the line (from 1) if known.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(String),
    /// A default, or a value set by code.
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

/// The origin of each key, by dotted path.
#[derive(Debug, Default)]
pub(super) struct KeyOrigins(BTreeMap<String, SettingOrigin>);

impl KeyOrigins {
    pub(super) fn set(&mut self, path: impl Into<String>, origin: SettingOrigin) {
        self.0.insert(path.into(), origin);
    }

    /// The origin of the key at `path`, or else of the nearest enclosing table.
    pub(super) fn origin_of(&self, path: &str) -> SettingOrigin {
        let mut path = path;
        loop {
            if let Some(origin) = self.0.get(path) {
                return origin.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return SettingOrigin::Default,
            }
        }
    }
}

/// The error of a bad setting. Never shows the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct SettingsError(Box<ErrorDetails>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ErrorDetails {
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
        Self(Box::new(ErrorDetails {
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

    /// The key as a dotted path, such as `server.listen` or `agent[0].name`; empty when the problem
    /// concerns no single key.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The origin of the value.
    pub fn origin(&self) -> &SettingOrigin {
        &self.0.origin
    }

    fn sentence(&self) -> String {
        let ErrorDetails { key, origin, problem, allowed, nearest } = &*self.0;
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
