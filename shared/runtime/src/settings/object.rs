//! A table of anything, for what somebody else defines: it becomes a JSON object.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::kind::{Holds, Kind};

/// A table of anything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsTable(Table);

impl SettingsTable {
    /// The same as JSON; times become text. `None`: it holds a number that JSON does not have.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        object(&self.0)
    }
}

impl Holds for SettingsTable {
    const KIND: Kind = Kind::Object;
}

fn object(table: &Table) -> Option<serde_json::Value> {
    let members = table.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
    members.collect::<Option<serde_json::Map<_, _>>>().map(serde_json::Value::Object)
}

fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Table(table) => object(table)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        SettingsTable(text.parse().unwrap()).to_json().map(|json| json.to_string())
    }

    #[test]
    fn a_table_of_anything_becomes_json() {
        let text = "a = 1\nb = [1.5, true, \"x\"]\nc = { d = 2030-01-31T22:00:00Z, e = {} }\n";
        let json = r#"{"a":1,"b":[1.5,true,"x"],"c":{"d":"2030-01-31T22:00:00Z","e":{}}}"#;
        assert_eq!(read(text).unwrap(), json);
    }

    #[test]
    fn numbers_that_json_does_not_have_are_refused() {
        assert_eq!(read("a = [{ b = nan }]"), None);
        assert_eq!(read("a = -inf"), None);
    }
}
