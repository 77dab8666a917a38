//! What a key holds: how text from a variable or a flag becomes a value, and the words for what is allowed.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use toml::Value;

use super::{period::HumanDuration, schema::Field};
use crate::secret::Secret;

/// The shape of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Integer,
    Number,
    Text,
    Secret,
    Path,
    Address,
    HumanDuration,
    OneOf(&'static [&'static str]),
    List,
    /// Names to secret values.
    Map,
    /// A table of anything.
    Object,
    /// One table with known keys.
    Table(&'static [Field]),
    /// Any number of tables with known keys.
    Tables(&'static [Field]),
}

impl Kind {
    /// What may stand there, in words.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number, such as 2.0".to_owned(),
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "an address with a port, such as \"127.0.0.1:8080\"".to_owned(),
            Self::HumanDuration => HumanDuration::ALLOWED.to_owned(),
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

    /// Reads the text of a variable or flag; `None` when it is not what this key holds. Texts that only their type can
    /// judge (addresses, names to choose from) are judged later.
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

    /// Whether a value of this kind must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Map)
    }
}

/// A Rust type that a key can have.
pub(super) trait Holds {
    const KIND: Kind;
}

macro_rules! holds {
    ($($type:ty => $kind:ident),* $(,)?) => {
        $(impl Holds for $type { const KIND: Kind = Kind::$kind; })*
    };
}

holds! {
    bool => Bool,
    u32 => Integer,
    f64 => Number,
    usize => Integer,
    String => Text,
    Secret => Secret,
    PathBuf => Path,
    SocketAddr => Address,
    HumanDuration => HumanDuration,
    Vec<String> => List,
    BTreeMap<String, Secret> => Map,
}

impl<T: Holds> Holds for Option<T> {
    const KIND: Kind = T::KIND;
}
