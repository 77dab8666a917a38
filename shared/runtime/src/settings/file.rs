//! Reads `longhaul.toml`, remembers the line of every key, and checks the keys against the schema.
//!
//! Errors about the file never quote it: the line in question may hold a password.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    error::{KeyOrigins, SettingOrigin, SettingsError},
    schema::{SettingField, SettingSection, ValueKind, nearest},
    sections::{Settings, kind_of},
};

/// Reads a file into a table and records the line of each key in `origins`.
pub(super) fn read(path: &Path, origins: &mut KeyOrigins) -> Result<Table, SettingsError> {
    let file_origin = || SettingOrigin::File(path.to_owned(), None);
    let bytes = std::fs::read(path).map_err(|error| {
        SettingsError::new("", file_origin(), format!("the file cannot be read: {error}"))
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| SettingsError::new("", file_origin(), "the file is not UTF-8"))?;
    let broken = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_of(&text, span));
        SettingsError::new(
            "",
            SettingOrigin::File(path.to_owned(), line),
            format!("not valid TOML: {}", error.message()),
        )
    };
    // Parse twice: once with spans for the lines, once for the values.
    let spans = DeTable::parse(&text).map_err(|error| broken(&error))?;
    let mut recorder = LineRecorder { text: &text, file: path, origins };
    recorder.table(spans.get_ref(), "");
    text.parse().map_err(|error| broken(&error))
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
}

struct LineRecorder<'a> {
    text: &'a str,
    file: &'a Path,
    origins: &'a mut KeyOrigins,
}

impl LineRecorder<'_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let name = key.get_ref();
            let path =
                if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
            self.record(&path, key.span());
            self.value(value, &path);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    self.record(&path, item.span());
                    self.value(item, &path);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, path: &str, span: Range<usize>) {
        let line = line_of(self.text, span);
        self.origins.set(path, SettingOrigin::File(PathBuf::from(self.file), Some(line)));
    }
}

/// Rejects unknown keys, tables in place of values, and values in place of tables.
pub(super) fn check_keys(file: &Table, origins: &KeyOrigins) -> Result<(), SettingsError> {
    check_table(file, Settings::FIELDS, "", origins)?;
    let agents = file.get("agent").and_then(Value::as_array).into_iter().flatten().enumerate();
    agents.into_iter().try_for_each(|(at, agent)| require_executor(at, agent, origins))
}

/// Rejects an agent without executor, which must not fall back to the default one.
fn require_executor(at: usize, agent: &Value, origins: &KeyOrigins) -> Result<(), SettingsError> {
    let path = format!("agent[{at}].executor");
    let allowed = kind_of(&path).map(|kind| kind.allowed()).unwrap_or_default();
    match agent.get("executor") {
        Some(_) => Ok(()),
        None => {
            Err(SettingsError::new(&path, origins.origin_of(&path), "is missing").allowed(allowed))
        }
    }
}

fn check_table(
    table: &Table,
    fields: &[SettingField],
    prefix: &str,
    origins: &KeyOrigins,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(unknown_key(&path, name, fields, prefix, origins));
        };
        check_value(value, &field.kind, &path, origins)?;
    }
    Ok(())
}

fn check_value(
    value: &Value,
    kind: &ValueKind,
    path: &str,
    origins: &KeyOrigins,
) -> Result<(), SettingsError> {
    match (kind, value) {
        (ValueKind::Table(fields), Value::Table(table)) => {
            check_table(table, fields, path, origins)
        }
        (ValueKind::Tables(fields), Value::Array(items)) => {
            items.iter().enumerate().try_for_each(|(at, item)| {
                check_value(item, &ValueKind::Table(fields), &format!("{path}[{at}]"), origins)
            })
        }
        (ValueKind::Table(_), _) => {
            Err(wrong_shape(path, "is not a table", &format!("a table, headed [{path}]"), origins))
        }
        (ValueKind::Tables(_), _) => Err(wrong_shape(
            path,
            "is not a list of tables",
            &format!("tables, each headed [[{}]]", without_positions(path)),
            origins,
        )),
        _ => Ok(()),
    }
}

fn wrong_shape(path: &str, problem: &str, allowed: &str, origins: &KeyOrigins) -> SettingsError {
    SettingsError::new(path, origins.origin_of(path), problem).allowed(allowed)
}

fn unknown_key(
    path: &str,
    name: &str,
    fields: &[SettingField],
    prefix: &str,
    origins: &KeyOrigins,
) -> SettingsError {
    // A key of the same section is the likelier typo; then look in the others.
    let near = nearest(name, fields.iter().map(|field| field.name))
        .map(|near| if prefix.is_empty() { near.to_owned() } else { format!("{prefix}.{near}") });
    let error = SettingsError::new(path, origins.origin_of(path), "unknown key")
        .nearest(near.or_else(|| key_elsewhere(name)));
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    error.allowed(names.join(", "))
}

/// A key of the same name in another section.
fn key_elsewhere(name: &str) -> Option<String> {
    Settings::FIELDS.iter().find_map(|section| match section.kind {
        ValueKind::Table(fields) => fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| format!("{}.{}", section.name, field.name)),
        _ => None,
    })
}

/// Strips list positions: `agent[0].process.env` becomes `agent.process.env`.
fn without_positions(path: &str) -> String {
    let names: Vec<&str> =
        path.split('.').map(|segment| segment.split('[').next().unwrap_or(segment)).collect();
    names.join(".")
}
