//! Bounds of a JSON request, checked before anything is built from it. An element of two bytes takes many times as much once it is a
//! value, so a body within its limit could still take more than a node has. Elements are counted as in `longhaul_proto::bounds`:
//! the same request is within bounds in every binding or in none.

use crate::{
    Dialect, Operation, ProtocolError,
    raw::{RawJson, Walk, same_name},
};
use longhaul_domain::{
    bounds::{MAX_ELEMENTS, MAX_PARTS, MEMBER_WEIGHT, too_many_elements, too_many_parts},
    scan,
};

/// Refuses parameters that hold too many parts or elements. Others, and what is wrong otherwise, pass: reading refuses those.
pub(crate) fn check(
    dialect: Dialect,
    operation: Operation,
    params: RawJson<'_>,
) -> Result<(), ProtocolError> {
    let (message, parts) = match dialect {
        Dialect::V0_3Proto => ("message", "message.content"),
        Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_1 => ("message", "message.parts"),
    };
    let mut count = Count::default();
    let counted = match operation {
        Operation::Send | Operation::Stream => count.send(params),
        _ => count.metadata_of(params),
    };
    match counted {
        Ok(()) => Ok(()),
        Err(TooMany::Parts) => Err(ProtocolError::invalid(parts, too_many_parts())),
        Err(TooMany::Elements) if matches!(operation, Operation::Send | Operation::Stream) => {
            Err(ProtocolError::invalid(message, too_many_elements()))
        }
        Err(TooMany::Elements) => Err(ProtocolError::invalid("params", too_many_elements())),
    }
}

enum TooMany {
    Parts,
    Elements,
}

#[derive(Default)]
struct Count {
    parts: usize,
    elements: usize,
}

type Counted = Result<(), TooMany>;

impl Count {
    fn send(&mut self, params: RawJson<'_>) -> Counted {
        members(params, |name, value| {
            if ["message", "request"].iter().any(|known| same_name(name, known)) {
                self.message(value)
            } else {
                self.beside(name, value)
            }
        })
    }

    /// What an operation that takes no message has.
    fn metadata_of(&mut self, params: RawJson<'_>) -> Counted {
        members(params, |name, value| self.beside(name, value))
    }

    /// What is kept, or built, besides the message.
    fn beside(&mut self, name: &str, value: RawJson<'_>) -> Counted {
        match name {
            "metadata" => self.value(value),
            "configuration" | "config" | "pushNotificationConfig" | "push_notification_config" => {
                self.texts(value)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: RawJson<'_>) -> Counted {
        members(message, |name, value| match name {
            "parts" | "content" => self.parts(value),
            "metadata" => self.value(value),
            "extensions" | "referenceTaskIds" | "reference_task_ids" => self.texts(value),
            _ => Ok(()),
        })
    }

    fn parts(&mut self, list: RawJson<'_>) -> Counted {
        if !list.get().starts_with('[') {
            return Ok(());
        }
        let mut walk = Walk::inside(list);
        while let Some(part) = walk.element() {
            self.parts += 1;
            if self.parts > MAX_PARTS {
                return Err(TooMany::Parts);
            }
            members(part, |name, value| match name {
                "metadata" | "data" => self.value(value),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Lists of texts, each of which is a value of its own.
    fn texts(&mut self, value: RawJson<'_>) -> Counted {
        let (members, elements) = contents(value);
        self.add(MEMBER_WEIGHT * (members + elements))
    }

    /// Any JSON.
    fn value(&mut self, value: RawJson<'_>) -> Counted {
        let (members, elements) = contents(value);
        self.add(MEMBER_WEIGHT * members + elements)
    }

    const fn add(&mut self, elements: usize) -> Counted {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > MAX_ELEMENTS { Err(TooMany::Elements) } else { Ok(()) }
    }
}

/// Visits the members of an object. A name with escapes is none that is looked for.
fn members<'a>(object: RawJson<'a>, mut each: impl FnMut(&str, RawJson<'a>) -> Counted) -> Counted {
    if !object.get().starts_with('{') {
        return Ok(());
    }
    let mut walk = Walk::inside(object);
    while let Some((name, value)) = walk.member() {
        match name.string() {
            Some(name) => each(&name, value)?,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// How many members of objects and elements of lists a value holds, at any depth: one flat pass.
fn contents(value: RawJson<'_>) -> (usize, usize) {
    let text = value.get().as_bytes();
    let (mut members, mut items, mut at) = (0usize, 0usize, 0);
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'"' => scan::string_end(text, at + 1),
            b'{' | b'[' => {
                let next = scan::token(text, at + 1);
                // The first of it; each further one stands behind a comma.
                items += usize::from(!matches!(text.get(next), None | Some(b'}' | b']')));
                next
            }
            b':' => {
                members += 1;
                at + 1
            }
            b',' => {
                items += 1;
                at + 1
            }
            _ => at + 1,
        };
    }
    (members, items.saturating_sub(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::bounds::MAX_MEMBERS;
    use serde_json::value::RawValue;

    fn checked(params: &str) -> Result<(), ProtocolError> {
        let raw: &RawValue = serde_json::from_str(params).unwrap();
        check(Dialect::V1_0, Operation::Send, raw.into())
    }

    fn message(members: &str) -> String {
        format!(r#"{{"message":{{"messageId":"m","role":"ROLE_USER",{members}}}}}"#)
    }

    fn parts(count: usize) -> String {
        message(&format!(r#""parts":[{}]"#, vec![r#"{"text":""}"#; count].join(",")))
    }

    fn list(count: usize) -> String {
        format!("[{}]", vec!["0"; count].join(" , "))
    }

    fn object(count: usize) -> String {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":{{}}")).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn members_and_elements_are_told_apart_at_any_depth() {
        for (text, counted) in [
            ("1", (0, 0)),
            ("{ }", (0, 0)),
            (r#"[ [ ] , {"a":[1,2],"b:,[":"x,:y"}]"#, (2, 4)),
            (r#"{"a":{"b":{"c":[{}]}}}"#, (3, 1)),
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(contents(raw.into()), counted, "{text}");
        }
    }

    #[test]
    fn a_message_has_as_many_parts_as_in_any_binding() {
        assert_eq!(checked(&parts(MAX_PARTS)), Ok(()));
        let refused = checked(&parts(MAX_PARTS + 1)).unwrap_err();
        assert_eq!(refused, ProtocolError::invalid("message.parts", too_many_parts()));
        assert!(checked(&parts(800_000)).is_err());
    }

    #[test]
    fn there_is_no_place_for_more_elements_than_in_any_binding() {
        let data = |json: String| message(&format!(r#""parts":[{{"data":{json}}}]"#));
        assert_eq!(checked(&data(list(MAX_ELEMENTS))), Ok(()));
        assert_eq!(checked(&data(object(MAX_MEMBERS))), Ok(()));
        let (long, wide) = (list(MAX_ELEMENTS + 1), object(MAX_MEMBERS + 1));
        let many = format!("[{}]", vec!["\"x\""; MAX_MEMBERS + 1].join(","));
        for refused in [
            data(long),
            data(wide.clone()),
            message(&format!(r#""parts":[{{"text":"x","metadata":{wide}}}]"#)),
            message(&format!(r#""metadata":{wide},"parts":[]"#)),
            message(&format!(r#""extensions":{many},"parts":[]"#)),
            message(&format!(r#""referenceTaskIds":{many},"parts":[]"#)),
            format!(r#"{{"metadata":{wide}}}"#),
            format!(r#"{{"configuration":{{"acceptedOutputModes":{many}}}}}"#),
        ] {
            let error = checked(&refused).unwrap_err();
            assert!(error.to_string().contains("as a file"), "{error}");
        }
        // A text is not looked into, and what nobody reads is not built.
        assert_eq!(checked(&message(r#""parts":[{"text":"{:,:,:,[[["}]"#)), Ok(()));
        assert_eq!(checked(&format!(r#"{{"unknown":{}}}"#, list(2 * MAX_ELEMENTS))), Ok(()));
    }
}
