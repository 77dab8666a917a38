//! Size limits of a JSON request, checked before any value is built. A two-byte element grows many
//! times over once it is a value, so a body within its byte limit could still exhaust the node's
//! memory. Elements are counted as in `longhaul_proto::bounds`: a request is accepted by every
//! binding or by none. The check allocates nothing that grows with the input.

use crate::{
    Operation, ProtocolError,
    raw::{JsonWalker, RawJson, same_name},
};
use longhaul_domain::{
    bounds::{MAX_ELEMENTS, MAX_PARTS, MEMBER_WEIGHT, too_many_elements, too_many_parts},
    scan,
};

/// Refuses parameters with too many parts or elements. `parts` is the path that a violation names.
/// Other mistakes pass; the readers refuse those.
pub(crate) fn check(
    operation: Operation,
    parts: &'static str,
    params: RawJson<'_>,
) -> Result<(), ProtocolError> {
    let mut count = ElementCounter::default();
    let counted = match operation {
        // Only sends carry a message.
        Operation::Send | Operation::Stream => count.send(params),
        _ => count.metadata_of(params),
    };
    match counted {
        Ok(()) => Ok(()),
        Err(TooMany::Parts) => Err(ProtocolError::invalid(parts, too_many_parts())),
        Err(TooMany::Elements) if matches!(operation, Operation::Send | Operation::Stream) => {
            Err(ProtocolError::invalid("message", too_many_elements()))
        }
        Err(TooMany::Elements) => Err(ProtocolError::invalid("params", too_many_elements())),
    }
}

enum TooMany {
    Parts,
    Elements,
}

#[derive(Default)]
struct ElementCounter {
    parts: usize,
    elements: usize,
}

type CountResult = Result<(), TooMany>;

impl ElementCounter {
    fn send(&mut self, params: RawJson<'_>) -> CountResult {
        members(params, |name, value| {
            // The protobuf name of the message is `request`; readers accept both.
            if ["message", "request"].iter().any(|known| same_name(name, known)) {
                self.message(value)
            } else {
                self.beside(name, value)
            }
        })
    }

    /// Counts the parameters of an operation that takes no message.
    fn metadata_of(&mut self, params: RawJson<'_>) -> CountResult {
        members(params, |name, value| self.beside(name, value))
    }

    /// Counts the request members beside the message that are kept or built.
    fn beside(&mut self, name: &str, value: RawJson<'_>) -> CountResult {
        match name {
            "metadata" => self.value(value),
            "configuration" | "config" | "pushNotificationConfig" | "push_notification_config" => {
                self.texts(value)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: RawJson<'_>) -> CountResult {
        members(message, |name, value| match name {
            "parts" | "content" => self.parts(value),
            "metadata" => self.value(value),
            "extensions" | "referenceTaskIds" | "reference_task_ids" => self.texts(value),
            _ => Ok(()),
        })
    }

    fn parts(&mut self, list: RawJson<'_>) -> CountResult {
        // Readers refuse the wrong type, with its path.
        if !list.get().starts_with('[') {
            return Ok(());
        }
        let mut walk = JsonWalker::inside(list);
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

    /// Counts lists of strings; each string is a value that allocates.
    fn texts(&mut self, value: RawJson<'_>) -> CountResult {
        let (members, elements) = contents(value);
        self.add(MEMBER_WEIGHT * (members + elements))
    }

    /// Counts arbitrary JSON.
    fn value(&mut self, value: RawJson<'_>) -> CountResult {
        let (members, elements) = contents(value);
        self.add(MEMBER_WEIGHT * members + elements)
    }

    const fn add(&mut self, elements: usize) -> CountResult {
        // Stops at the first surplus element, so hostile input costs no more than valid input.
        self.elements = self.elements.saturating_add(elements);
        if self.elements > MAX_ELEMENTS { Err(TooMany::Elements) } else { Ok(()) }
    }
}

/// Visits the members of an object. A name written with escapes never matches a known name.
fn members<'a>(
    object: RawJson<'a>,
    mut each: impl FnMut(&str, RawJson<'a>) -> CountResult,
) -> CountResult {
    if !object.get().starts_with('{') {
        return Ok(());
    }
    let mut walk = JsonWalker::inside(object);
    while let Some((name, value)) = walk.member() {
        match name.string() {
            Some(name) => each(&name, value)?,
            // Not Unicode; readers refuse such names.
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Counts object members and array elements at any depth, in one flat pass.
fn contents(value: RawJson<'_>) -> (usize, usize) {
    let text = value.get().as_bytes();
    // JSON structure is ASCII and strings are skipped whole, so bytes suffice.
    let (mut members, mut items, mut at) = (0usize, 0usize, 0);
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'"' => scan::string_end(text, at + 1),
            b'{' | b'[' => {
                let next = scan::next_token(text, at + 1);
                // Counts the first element; each further one follows a comma.
                items += usize::from(!matches!(text.get(next), None | Some(b'}' | b']')));
                next
            }
            // A colon outside a string belongs to exactly one member.
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
    // Commas separate members and elements alike; whatever is no member is an element.
    (members, items.saturating_sub(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::bounds::MAX_MEMBERS;
    use serde_json::value::RawValue;

    fn checked(params: &str) -> Result<(), ProtocolError> {
        let raw: &RawValue = serde_json::from_str(params).unwrap();
        check(Operation::Send, "message.parts", raw.into())
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
    fn members_and_elements_are_counted_separately_at_any_depth() {
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
    fn the_limit_on_parts_is_that_of_every_binding() {
        assert_eq!(checked(&parts(MAX_PARTS)), Ok(()));
        let refused = checked(&parts(MAX_PARTS + 1)).unwrap_err();
        assert_eq!(refused, ProtocolError::invalid("message.parts", too_many_parts()));
        assert!(checked(&parts(800_000)).is_err());
    }

    #[test]
    fn the_limit_on_elements_is_that_of_every_binding() {
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
        // Strings are not searched, and unknown members are never built.
        assert_eq!(checked(&message(r#""parts":[{"text":"{:,:,:,[[["}]"#)), Ok(()));
        assert_eq!(checked(&format!(r#"{{"unknown":{}}}"#, list(2 * MAX_ELEMENTS))), Ok(()));
    }
}
