//! Descriptions of the settings: the effective configuration without its secrets, and the list of
//! all keys.

use serde::Serialize;
use toml::{Table, Value};

use super::{
    agent::{AgentSettings, ExtensionSettings, ProcessSettings, SkillSettings},
    overrides,
    schema::{SettingField, SettingSection, ValueKind},
    sections::Settings,
};
use crate::secret::{Secret, redact_url};

impl Settings {
    /// Renders the effective settings as TOML, for `longhaul config check`. Passwords in URLs and
    /// the environment of programs are `[redacted]`; absent keys are left out.
    pub fn to_redacted_toml(&self) -> String {
        let mut table = Table::try_from(self).unwrap_or_default();
        show_url(&mut table, "database", self.database.url.as_ref());
        show_url(&mut table, "amqp", self.amqp.url.as_ref());
        toml::to_string_pretty(&table).unwrap_or_default()
    }
}

fn show_url(table: &mut Table, section: &str, url: Option<&Secret>) {
    if let (Some(Value::Table(section)), Some(url)) = (table.get_mut(section), url) {
        section.insert("url".to_owned(), Value::String(redact_url(url.expose())));
    }
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingKey {
    /// The dotted path, with `[]` in place of list positions, as in `agent[].name`.
    pub path: String,
    /// The environment variable that sets it, if any.
    pub env: Option<String>,
    /// The default as TOML, if any.
    pub default: Option<String>,
    /// The allowed values, in words.
    pub allowed: String,
    /// The documentation.
    pub doc: String,
}

/// Lists all keys, in the order of the documentation.
pub fn keys() -> Vec<SettingKey> {
    let mut list = Vec::new();
    collect(Settings::FIELDS, "", &defaults(&Settings::default()), &mut list);
    for key in &mut list {
        key.env = overrides::variables()
            .find(|(path, _)| *path == key.path)
            .map(|(_, variable)| variable);
    }
    list
}

fn collect(fields: &[SettingField], prefix: &str, defaults: &Table, list: &mut Vec<SettingKey>) {
    for field in fields {
        let path = if prefix.is_empty() {
            field.name.to_owned()
        } else {
            format!("{prefix}.{}", field.name)
        };
        let default = defaults.get(field.name);
        match (&field.kind, default) {
            (ValueKind::Table(fields), Some(Value::Table(section))) => {
                collect(fields, &path, section, list);
            }
            // Optional sections and list entries are absent by default, but have defaults once
            // present.
            (ValueKind::Table(fields), _) => {
                collect(fields, &path, &inner_defaults(field.name), list);
            }
            (ValueKind::Tables(fields), _) => {
                collect(fields, &format!("{path}[]"), &inner_defaults(field.name), list);
            }
            (kind, default) => list.push(SettingKey {
                path,
                env: None,
                default: default.filter(|value| !is_blank(value)).map(Value::to_string),
                allowed: kind.allowed(),
                doc: one_line(field.doc),
            }),
        }
    }
}

fn inner_defaults(name: &str) -> Table {
    match name {
        "agent" => without(defaults(&AgentSettings::default()), "executor"),
        "skill" => defaults(&SkillSettings::default()),
        "extension" => defaults(&ExtensionSettings::default()),
        "process" => defaults(&ProcessSettings::default()),
        _ => Table::new(),
    }
}

fn without(mut table: Table, required: &str) -> Table {
    table.remove(required);
    table
}

fn defaults<T: Serialize>(section: &T) -> Table {
    Table::try_from(section).unwrap_or_default()
}

/// Tells whether a default is empty and not worth showing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Table(table) => table.is_empty(),
        _ => false,
    }
}

fn one_line(doc: &str) -> String {
    let words: Vec<&str> = doc.split_whitespace().collect();
    words.join(" ")
}
