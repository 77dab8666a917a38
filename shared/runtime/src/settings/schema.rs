//! The tree of known keys, made from the very structs that hold the values, and the check of a file against it.

use toml::{Table, Value};

use super::{error::SettingsError, file::Origins, kind::Kind, sections::Settings};

/// One known key of a section.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// The doc comment of the field.
    pub(super) doc: &'static str,
    pub(super) kind: Kind,
}

/// A struct whose fields are keys.
pub(super) trait Section {
    const FIELDS: &'static [Field];
}

/// Defines a section: a struct with a documented field and a default for each key.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::settings::schema::Section for $name {
            const FIELDS: &'static [$crate::settings::schema::Field] = &[
                $( $crate::settings::schema::Field {
                    name: stringify!($field),
                    doc: concat!($($doc, "\n"),*),
                    kind: <$type as $crate::settings::kind::Holds>::KIND,
                }, )*
            ];
        }

        impl $crate::settings::kind::Holds for $name {
            const KIND: $crate::settings::kind::Kind =
                $crate::settings::kind::Kind::Table(<$name as $crate::settings::schema::Section>::FIELDS);
        }
    };
}
pub(super) use section;

impl<T: Section> super::kind::Holds for Vec<T> {
    const KIND: Kind = Kind::Tables(T::FIELDS);
}

/// The kind of the key at a dotted path, with or without list positions. A path into a map or list gives that map or list.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    let mut kind = Kind::Table(Settings::FIELDS);
    for segment in path.split('.') {
        let name = segment.split('[').next().unwrap_or(segment);
        kind = match kind {
            Kind::Table(fields) | Kind::Tables(fields) => {
                fields.iter().find(|field| field.name == name)?.kind
            }
            leaf => return Some(leaf),
        };
    }
    Some(kind)
}

/// Refuses unknown keys and tables where values belong, and the other way round.
pub(super) fn check(file: &Table, origins: &Origins) -> Result<(), SettingsError> {
    check_table(file, Settings::FIELDS, "", origins)?;
    let agents = file.get("agent").and_then(Value::as_array).into_iter().flatten().enumerate();
    agents.into_iter().try_for_each(|(at, agent)| require_executor(at, agent, origins))
}

/// An agent without an executor must not fall back to the default one.
fn require_executor(at: usize, agent: &Value, origins: &Origins) -> Result<(), SettingsError> {
    let path = format!("agent[{at}].executor");
    let allowed = kind_of(&path).map(|kind| kind.allowed()).unwrap_or_default();
    match agent.get("executor") {
        Some(_) => Ok(()),
        None => Err(SettingsError::new(&path, origins.of(&path), "is missing").allowed(allowed)),
    }
}

fn check_table(
    table: &Table,
    fields: &[Field],
    prefix: &str,
    origins: &Origins,
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
    kind: &Kind,
    path: &str,
    origins: &Origins,
) -> Result<(), SettingsError> {
    match (kind, value) {
        (Kind::Table(fields), Value::Table(table)) => check_table(table, fields, path, origins),
        (Kind::Tables(fields), Value::Array(items)) => {
            items.iter().enumerate().try_for_each(|(at, item)| {
                check_value(item, &Kind::Table(fields), &format!("{path}[{at}]"), origins)
            })
        }
        (Kind::Table(_), _) => {
            Err(wrong_shape(path, "is not a table", &format!("a table, headed [{path}]"), origins))
        }
        (Kind::Tables(_), _) => Err(wrong_shape(
            path,
            "is not a list of tables",
            &format!("tables, each headed [[{}]]", without_positions(path)),
            origins,
        )),
        _ => Ok(()),
    }
}

fn wrong_shape(path: &str, problem: &str, allowed: &str, origins: &Origins) -> SettingsError {
    SettingsError::new(path, origins.of(path), problem).allowed(allowed)
}

fn unknown_key(
    path: &str,
    name: &str,
    fields: &[Field],
    prefix: &str,
    origins: &Origins,
) -> SettingsError {
    let near = nearest(name, fields.iter().map(|field| field.name))
        .map(|near| if prefix.is_empty() { near.to_owned() } else { format!("{prefix}.{near}") });
    let error = SettingsError::new(path, origins.of(path), "unknown key")
        .nearest(near.or_else(|| key_elsewhere(name)));
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    error.allowed(names.join(", "))
}

/// A key of that very name in another section.
fn key_elsewhere(name: &str) -> Option<String> {
    Settings::FIELDS.iter().find_map(|section| match section.kind {
        Kind::Table(fields) => fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| format!("{}.{}", section.name, field.name)),
        _ => None,
    })
}

/// The candidate that `name` was probably meant to be.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let close_enough = (name.chars().count() / 3).max(1) + 1;
    candidates
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= close_enough && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `agent[0].process.env` as `agent.process.env`.
fn without_positions(path: &str) -> String {
    let names: Vec<&str> =
        path.split('.').map(|segment| segment.split('[').next().unwrap_or(segment)).collect();
    names.join(".")
}
