//! The schema of the settings, generated from the structs that hold the values.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use toml::Value;

use super::values::{HumanDuration, SettingsTable};
use crate::secret::Secret;

/// The kind of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValueKind {
    Bool,
    Integer,
    Number,
    Text,
    Secret,
    Path,
    Address,
    Duration,
    OneOf(&'static [&'static str]),
    List,
    /// A table of secret texts.
    Map,
    /// A table of any content.
    Object,
    /// A table with known keys.
    Table(&'static [SettingField]),
    /// A list of tables with known keys.
    Tables(&'static [SettingField]),
}

impl ValueKind {
    /// The allowed values, in words.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number, such as 2.0".to_owned(),
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "an address with a port, such as \"127.0.0.1:8080\"".to_owned(),
            Self::Duration => HumanDuration::ALLOWED.to_owned(),
            Self::OneOf(names) => {
                let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                quoted.join(", ")
            }
            Self::List => "a list of texts".to_owned(),
            Self::Map => "a table of texts".to_owned(),
            Self::Object | Self::Table(_) => "a table".to_owned(),
            Self::Tables(_) => "tables, each headed by double brackets".to_owned(),
        }
    }

    /// Parses the text of a variable or flag; `None` if it does not fit this kind. Addresses and
    /// choices are checked later, on deserialization.
    pub(super) fn read(&self, text: &str) -> Option<Value> {
        match self {
            Self::Bool => text.parse().ok().map(Value::Boolean),
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Number => text.parse().ok().map(Value::Float),
            Self::List => Some(Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::String(item.to_owned()))
                    .collect(),
            )),
            Self::Map | Self::Object | Self::Table(_) | Self::Tables(_) => None,
            _ => Some(Value::String(text.to_owned())),
        }
    }

    /// Tells whether values of this kind must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Map)
    }
}

/// A Rust type that a setting can have.
pub(super) trait SettingType {
    const KIND: ValueKind;
}

macro_rules! setting_types {
    ($($type:ty => $kind:ident),* $(,)?) => {
        $(impl SettingType for $type { const KIND: ValueKind = ValueKind::$kind; })*
    };
}

setting_types! {
    bool => Bool,
    u32 => Integer,
    f64 => Number,
    usize => Integer,
    String => Text,
    Secret => Secret,
    PathBuf => Path,
    SocketAddr => Address,
    HumanDuration => Duration,
    SettingsTable => Object,
    Vec<String> => List,
    BTreeMap<String, Secret> => Map,
}

impl<T: SettingType> SettingType for Option<T> {
    const KIND: ValueKind = T::KIND;
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct SettingField {
    pub(super) name: &'static str,
    /// The doc comment of the field.
    pub(super) doc: &'static str,
    pub(super) kind: ValueKind,
}

/// A struct whose fields are settings.
pub(super) trait SettingSection {
    const FIELDS: &'static [SettingField];
}

/// Defines a section: a struct with a documented field and a default per key.
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

        impl $crate::settings::schema::SettingSection for $name {
            const FIELDS: &'static [$crate::settings::schema::SettingField] = &[
                $( $crate::settings::schema::SettingField {
                    name: stringify!($field),
                    doc: concat!($($doc, "\n"),*),
                    kind: <$type as $crate::settings::schema::SettingType>::KIND,
                }, )*
            ];
        }

        impl $crate::settings::schema::SettingType for $name {
            const KIND: $crate::settings::schema::ValueKind =
                $crate::settings::schema::ValueKind::Table(<$name as $crate::settings::schema::SettingSection>::FIELDS);
        }
    };
}
pub(super) use section;

impl<T: SettingSection> SettingType for Vec<T> {
    const KIND: ValueKind = ValueKind::Tables(T::FIELDS);
}

/// The candidate closest to a misspelt `name`, if any is close enough.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // About one typo per three characters, at least two.
    let close_enough = (name.chars().count() / 3).max(1) + 1;
    candidates
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        // A distance of the whole word would replace every letter.
        .filter(|(distance, candidate)| *distance <= close_enough && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
