//! The forms of a card that are signed (A2A 8.4.1).
//!
//! A client holds a card as the received document or as a deserialized message, and must find the
//! signed bytes from either. Hence three forms, each without `signatures`. For an ordinary card
//! they are identical.

use crate::{
    canonicalize,
    card_schema::{CARD_SCHEMA, CardField, FieldShape, Presence},
};
use serde_json::{Map, Value};

/// A form of a card that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedForm {
    /// The 1.0 card by the rules of section 8.4.1: without unknown fields and defaults, except
    /// fields that are required or were set explicitly.
    Specification,
    /// The same without empty values at any depth, as the public Python and JavaScript SDKs sign
    /// and verify it. It drops, for instance, a required security scheme without scopes.
    Compact,
    /// The complete document, including fields of other protocol versions.
    Document,
}

impl SignedForm {
    /// All forms, beginning with the most specific one for a 1.0 card.
    pub const ALL: [Self; 3] = [Self::Specification, Self::Compact, Self::Document];

    /// The forms that apply to a card. Without `supportedInterfaces` it is no 1.0 card, and only
    /// the document applies.
    pub fn applicable(card: &Map<String, Value>) -> &'static [Self] {
        if card.contains_key("supportedInterfaces") { &Self::ALL } else { &[Self::Document] }
    }

    /// The covered content, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specification => "the 1.0 card",
            Self::Compact => "the 1.0 card without empty fields",
            Self::Document => "the whole document",
        }
    }
}

/// The bytes to sign.
pub fn signing_payload(card: &Map<String, Value>, form: SignedForm) -> Vec<u8> {
    let value = match form {
        SignedForm::Specification => specified_card(card),
        SignedForm::Compact => {
            without_empty(specified_card(card)).unwrap_or_else(|| Map::new().into())
        }
        SignedForm::Document => {
            let unsigned = card.iter().filter(|(name, _)| *name != crate::SIGNATURES_FIELD);
            Value::Object(unsigned.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
    };
    canonicalize(&value)
}

fn specified_card(card: &Map<String, Value>) -> Value {
    match CARD_SCHEMA {
        FieldShape::Message(fields) => project_message(card, fields),
        _ => Value::Null,
    }
}

fn project_message(members: &Map<String, Value>, fields: &[CardField]) -> Value {
    let mut written = Map::new();
    for CardField(name, presence, shape) in fields {
        // ProtoJSON writes absent fields as null.
        let value = members.get(*name).filter(|value| !value.is_null());
        let value = match (value, presence) {
            // proto3 cannot tell an implicit default from an absent field, so neither is written.
            (Some(value), Presence::Implicit) if is_default(value, shape) => None,
            (Some(value), _) => Some(project(value, shape)),
            // A reader of the message form sees the default of an absent required field.
            (None, Presence::Required) => default(shape),
            (None, _) => None,
        };
        if let Some(value) = value {
            written.insert((*name).to_owned(), value);
        }
    }
    written.into()
}

/// Reduces a value to the fields of the schema. A value of another shape is kept unchanged.
fn project(value: &Value, shape: &FieldShape) -> Value {
    match (shape, value) {
        (FieldShape::Message(fields), Value::Object(members)) => project_message(members, fields),
        (FieldShape::List(shape), Value::Array(items)) => {
            items.iter().map(|item| project(item, shape)).collect()
        }
        (FieldShape::Map(shape), Value::Object(members)) => {
            let entry = |(name, value): (&String, &Value)| (name.clone(), project(value, shape));
            Value::Object(members.iter().map(entry).collect())
        }
        _ => value.clone(),
    }
}

/// Tells whether a value is the default of its shape. Messages have none: an empty one counts as
/// set.
fn is_default(value: &Value, shape: &FieldShape) -> bool {
    default(shape).is_some_and(|default| default == *value)
}

fn default(shape: &FieldShape) -> Option<Value> {
    match shape {
        FieldShape::Text => Some("".into()),
        FieldShape::Flag => Some(false.into()),
        FieldShape::List(_) => Some(Vec::<Value>::new().into()),
        FieldShape::Map(_) => Some(Map::new().into()),
        FieldShape::Struct | FieldShape::Message(_) => None,
    }
}

fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.into()),
        Value::Array(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(without_empty).collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| without_empty(value).map(|value| (name, value)))
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
        String::from_utf8(signing_payload(card.as_object().unwrap(), form)).unwrap()
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
    fn required_and_explicit_fields_stay_and_other_defaults_are_dropped() {
        assert_eq!(
            signed(&example(), SignedForm::Specification),
            r#"{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"description":"","documentationUrl":"","name":"Example Agent","securityRequirements":[{"schemes":{"bearer":{}}}],"skills":[],"supportedInterfaces":[],"version":"1"}"#
        );
    }

    #[test]
    fn the_compact_form_has_no_empty_values() {
        assert_eq!(
            signed(&example(), SignedForm::Compact),
            r#"{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"name":"Example Agent","version":"1"}"#
        );
        assert_eq!(signed(&json!({}), SignedForm::Compact), "{}");
    }

    #[test]
    fn the_document_form_drops_only_the_signatures() {
        let document = json!({"url": "http://old", "b": [], "a": null, "signatures": [{}]});
        assert_eq!(
            signed(&document, SignedForm::Document),
            r#"{"a":null,"b":[],"url":"http://old"}"#
        );
    }

    #[test]
    fn an_absent_required_field_has_its_default() {
        let bare = json!({"capabilities": {}});
        let written = signed(&bare, SignedForm::Specification);
        assert!(
            written.contains(r#""skills":[]"#) && written.contains(r#""name":"""#),
            "{written}"
        );
        assert!(!written.contains("provider"), "{written}");
    }

    #[test]
    fn extension_parameters_are_kept_unchanged() {
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
    fn values_of_another_shape_are_kept() {
        let odd = json!({"name": 1, "skills": "x", "capabilities": [], "securitySchemes": 5});
        for form in SignedForm::ALL {
            assert!(signed(&odd, form).contains("\"securitySchemes\":5"));
        }
    }
}
