//! Reads `longhaul.toml` and remembers the line of every key.
//!
//! A message about the file never quotes it: the line in question may hold a password.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned, Table,
    de::{DeTable, DeValue},
};

use super::error::{SettingOrigin, SettingsError};

/// Where each key was set, by dotted path.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<String, SettingOrigin>);

impl Origins {
    pub(super) fn set(&mut self, path: impl Into<String>, origin: SettingOrigin) {
        self.0.insert(path.into(), origin);
    }

    /// Where the key at `path` was set, or else the nearest table around it.
    pub(super) fn of(&self, path: &str) -> SettingOrigin {
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

/// Reads a file into a table, and the line of each key into `origins`.
pub(super) fn read(path: &Path, origins: &mut Origins) -> Result<Table, SettingsError> {
    let whole_file = || SettingOrigin::File(path.to_owned(), None);
    let bytes = std::fs::read(path).map_err(|error| {
        SettingsError::new("", whole_file(), format!("the file cannot be read: {error}"))
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| SettingsError::new("", whole_file(), "the file is not UTF-8"))?;
    let broken = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_of(&text, span));
        SettingsError::new(
            "",
            SettingOrigin::File(path.to_owned(), line),
            format!("not valid TOML: {}", error.message()),
        )
    };
    let spans = DeTable::parse(&text).map_err(|error| broken(&error))?;
    let mut lines = Lines { text: &text, file: path, origins };
    lines.table(spans.get_ref(), "");
    text.parse().map_err(|error| broken(&error))
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
}

struct Lines<'a> {
    text: &'a str,
    file: &'a Path,
    origins: &'a mut Origins,
}

impl Lines<'_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let name = key.get_ref();
            let path =
                if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
            self.note(&path, key.span());
            self.value(value, &path);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    self.note(&path, item.span());
                    self.value(item, &path);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &str, span: Range<usize>) {
        let line = line_of(self.text, span);
        self.origins.set(path, SettingOrigin::File(PathBuf::from(self.file), Some(line)));
    }
}
