//! The list of all keys, for documentation and for checks of files that mention them.

use serde::Serialize;
use toml::{Table, Value};

use super::{
    agent::{AgentSettings, Extension, ProcessSettings, Skill},
    environment,
    kind::Kind,
    schema::{Field, Section},
    sections::Settings,
};

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingKey {
    /// Dotted path; `[]` stands for the position in a list, as in `agent[].name`.
    pub path: String,
    /// The environment variable that sets it, if one can.
    pub env: Option<String>,
    /// The default as TOML text, if there is one.
    pub default: Option<String>,
    /// What may stand there.
    pub allowed: String,
    /// What it is for.
    pub doc: String,
}

/// All keys, in the order of the documentation.
pub fn keys() -> Vec<SettingKey> {
    let mut list = Vec::new();
    collect(Settings::FIELDS, "", &defaults(&Settings::default()), &mut list);
    for key in &mut list {
        key.env = environment::variables()
            .find(|(path, _)| *path == key.path)
            .map(|(_, variable)| variable);
    }
    list
}

fn collect(fields: &[Field], prefix: &str, defaults: &Table, list: &mut Vec<SettingKey>) {
    for field in fields {
        let path = if prefix.is_empty() {
            field.name.to_owned()
        } else {
            format!("{prefix}.{}", field.name)
        };
        let default = defaults.get(field.name);
        match (&field.kind, default) {
            (Kind::Table(fields), Some(Value::Table(section))) => {
                collect(fields, &path, section, list);
            }
            // An optional section and the tables of a list have defaults of their own once they are there.
            (Kind::Table(fields), _) => collect(fields, &path, &inner_defaults(field.name), list),
            (Kind::Tables(fields), _) => {
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
        "skill" => defaults(&Skill::default()),
        "extension" => defaults(&Extension::default()),
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

/// Empty text, lists and maps are as good as absent.
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
