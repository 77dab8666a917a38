//! Adding a member to metadata without touching the others: they stay byte for byte, in their order.

use longhaul_domain::JsonObject;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The metadata with a member of this name behind the others; one that had the name is replaced. `name` is taken as it is:
/// it must need no escapes in JSON, as is so for every URI. `value` is JSON.
pub(crate) fn with_member(
    metadata: Option<&JsonObject>,
    name: &str,
    value: &str,
) -> Option<JsonObject> {
    let mut text = metadata
        .and_then(|metadata| other_members(metadata, name))
        .unwrap_or_else(|| String::from("{"));
    text.push_str(if text.len() > 1 { "," } else { "" });
    text.extend(["\"", name, "\":", value, "}"]);
    JsonObject::parse(&text).ok()
}

/// The metadata without a member of this name; none when nothing is left.
pub(crate) fn without_member(metadata: &JsonObject, name: &str) -> Option<JsonObject> {
    let mut text = other_members(metadata, name).filter(|text| text.len() > 1)?;
    text.push('}');
    JsonObject::parse(&text).ok()
}

/// The object without its closing brace and without the member.
fn other_members(metadata: &JsonObject, name: &str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(metadata.as_str());
    deserializer.deserialize_map(OthersVisitor(name)).ok()
}

struct OthersVisitor<'a>(&'a str);

impl<'de> Visitor<'de> for OthersVisitor<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut text = String::from("{");
        // Names are taken raw too: however a name was escaped, it stays so.
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?;
            if serde_json::from_str::<String>(name.get()).is_ok_and(|name| name == self.0) {
                continue;
            }
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(name.get());
            text.push(':');
            text.push_str(value.get());
        }
        Ok(text)
    }
}
