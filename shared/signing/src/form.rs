//! What of a card is signed (A2A 8.4.1).
//!
//! A client holds a card either as the document that it received or as a message that it was read into; from either it
//! must find the bytes that were signed. Hence three forms, each without `signatures`; of an ordinary card they are the
//! same.

use crate::{
    canonical,
    schema::{CARD, Field, Presence, Shape},
};
use serde_json::{Map, Value};

/// A form of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedForm {
    /// The card of A2A 1.0, by the rules of section 8.4.1: fields that it does not know and defaults are left out, but what is
    /// required or was set explicitly is written.
    Specification,
    /// The same without anything empty, at whatever depth: what the public Python and JavaScript SDKs sign and verify.
    /// It does not say, for instance, that a scheme without scopes is required.
    Compact,
    /// The document as it is, fields of other protocol versions included.
    Document,
}

impl SignedForm {
    /// All of them, the one that says most about a 1.0 card first.
    pub const ALL: [Self; 3] = [Self::Specification, Self::Compact, Self::Document];

    /// Those that say something about this card: without `supportedInterfaces` it is none of 1.0.
    pub fn of(card: &Map<String, Value>) -> &'static [Self] {
        if card.contains_key("supportedInterfaces") { &Self::ALL } else { &[Self::Document] }
    }

    /// What it covers, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specification => "the 1.0 card",
            Self::Compact => "the 1.0 card without empty fields",
            Self::Document => "the whole document",
        }
    }
}

/// The bytes that are signed.
pub fn payload(card: &Map<String, Value>, form: SignedForm) -> Vec<u8> {
    let value = match form {
        SignedForm::Specification => specified(card),
        SignedForm::Compact => compact(specified(card)).unwrap_or_else(|| Map::new().into()),
        SignedForm::Document => {
            let unsigned = card.iter().filter(|(name, _)| *name != crate::SIGNATURES_FIELD);
            Value::Object(unsigned.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
    };
    canonical(&value)
}

fn specified(card: &Map<String, Value>) -> Value {
    match CARD {
        Shape::Message(fields) => message(card, fields),
        _ => Value::Null,
    }
}

fn message(members: &Map<String, Value>, fields: &[Field]) -> Value {
    let mut written = Map::new();
    for Field(name, presence, shape) in fields {
        let value = members.get(*name).filter(|value| !value.is_null());
        let value = match (value, presence) {
            (Some(value), Presence::Implicit) if is_default(value, shape) => None,
            (Some(value), _) => Some(projected(value, shape)),
            (None, Presence::Required) => default(shape),
            (None, _) => None,
        };
        if let Some(value) = value {
            written.insert((*name).to_owned(), value);
        }
    }
    written.into()
}

/// A value that does not have the shape is kept: then nobody signed it in another way either.
fn projected(value: &Value, shape: &Shape) -> Value {
    match (shape, value) {
        (Shape::Message(fields), Value::Object(members)) => message(members, fields),
        (Shape::List(shape), Value::Array(items)) => {
            items.iter().map(|item| projected(item, shape)).collect()
        }
        (Shape::Map(shape), Value::Object(members)) => {
            let entry = |(name, value): (&String, &Value)| (name.clone(), projected(value, shape));
            Value::Object(members.iter().map(entry).collect())
        }
        _ => value.clone(),
    }
}

/// Messages have no default: one that is empty is there.
fn is_default(value: &Value, shape: &Shape) -> bool {
    default(shape).is_some_and(|default| default == *value)
}

fn default(shape: &Shape) -> Option<Value> {
    match shape {
        Shape::Text => Some("".into()),
        Shape::Flag => Some(false.into()),
        Shape::List(_) => Some(Vec::<Value>::new().into()),
        Shape::Map(_) => Some(Map::new().into()),
        Shape::Struct | Shape::Message(_) => None,
    }
}

fn compact(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.into()),
        Value::Array(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(compact).collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| compact(value).map(|value| (name, value)))
                .collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn signed(card: &Value, form: SignedForm) -> String {
        String::from_utf8(payload(card.as_object().unwrap(), form)).unwrap()
    }

    fn example() -> Value {
        json!({
            "name": "Example Agent", "description": "", "version": "1", "supportedInterfaces": [],
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "capabilities": {"streaming": false, "pushNotifications": false, "extensions": []},
            "securityRequirements": [{"schemes": {"bearer": {"list": []}}}],
            "documentationUrl": "", "provider": null, "skills": [], "url": "http://old", "signatures": [{}]})
    }

    #[test]
    fn required_and_explicit_fields_stay_and_other_defaults_go() {
        assert_eq!(
            signed(&example(), SignedForm::Specification),
            r#"{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"description":"","documentationUrl":"","name":"Example Agent","securityRequirements":[{"schemes":{"bearer":{}}}],"skills":[],"supportedInterfaces":[],"version":"1"}"#
        );
    }

    #[test]
    fn the_compact_form_has_nothing_empty() {
        assert_eq!(
            signed(&example(), SignedForm::Compact),
            r#"{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"name":"Example Agent","version":"1"}"#
        );
        assert_eq!(signed(&json!({}), SignedForm::Compact), "{}");
    }

    #[test]
    fn the_document_is_everything_but_its_signatures() {
        let document = json!({"url": "http://old", "b": [], "a": null, "signatures": [{}]});
        assert_eq!(
            signed(&document, SignedForm::Document),
            r#"{"a":null,"b":[],"url":"http://old"}"#
        );
    }

    #[test]
    fn a_required_field_that_is_absent_is_its_default() {
        let bare = json!({"capabilities": {}});
        let written = signed(&bare, SignedForm::Specification);
        assert!(
            written.contains(r#""skills":[]"#) && written.contains(r#""name":"""#),
            "{written}"
        );
        assert!(!written.contains("provider"), "{written}");
    }

    #[test]
    fn parameters_of_extensions_are_kept_as_they_are() {
        let params = json!({"a": "", "b": null, "c": [], "d": {"unknown": 1.0}});
        let card = json!({"capabilities": {"extensions": [{"uri": "u", "required": false, "params": params}]}});
        let written = signed(&card, SignedForm::Specification);
        assert!(
            written
                .contains(r#"[{"params":{"a":"","b":null,"c":[],"d":{"unknown":1}},"uri":"u"}]"#),
            "{written}"
        );
        let compact = signed(&card, SignedForm::Compact);
        assert!(compact.contains(r#"[{"params":{"d":{"unknown":1}},"uri":"u"}]"#), "{compact}");
    }

    #[test]
    fn a_value_of_another_shape_is_no_reason_to_fail() {
        let odd = json!({"name": 1, "skills": "x", "capabilities": [], "securitySchemes": 5});
        for form in SignedForm::ALL {
            assert!(signed(&odd, form).contains("\"securitySchemes\":5"));
        }
    }
}
