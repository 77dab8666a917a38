//! Data that is not an object. Before 1.0 a data part holds an object, so any other value stands in one as its only member
//! `value`, and a member of the part's metadata says so: in the way that official implementations of both versions convert
//! them.

use crate::metadata::{with_member, without_member};
use longhaul_domain::{Json, JsonObject};
use std::borrow::Cow;

/// In the metadata of a part: its data stands for the value in it.
const MARK: &str = "data_part_compat";
const VALUE: &str = "value";

/// Data and metadata of a part as they are written.
pub(super) struct Wrapped<'a> {
    pub data: Cow<'a, Json>,
    pub metadata: Option<Cow<'a, JsonObject>>,
}

/// Makes an object of any value.
pub(super) fn wrap<'a>(data: &'a Json, metadata: Option<&'a JsonObject>) -> Wrapped<'a> {
    let plain = Wrapped { data: Cow::Borrowed(data), metadata: metadata.map(Cow::Borrowed) };
    if data.as_str().starts_with('{') {
        return plain;
    }
    let object = Json::parse(&format!("{{\"{VALUE}\":{}}}", data.as_str()));
    match (object, with_member(metadata, MARK, "true")) {
        (Ok(object), Some(marked)) => {
            Wrapped { data: Cow::Owned(object), metadata: Some(Cow::Owned(marked)) }
        }
        // One level deeper than can be kept: it goes out as it is.
        _ => plain,
    }
}

/// The value that was wrapped, and the metadata without the mark; anything else stays as it is.
pub(super) fn unwrap(data: Json, metadata: Option<JsonObject>) -> (Json, Option<JsonObject>) {
    let marked = metadata
        .as_ref()
        .and_then(|metadata| metadata.get(MARK))
        .is_some_and(|mark| mark.as_str() == "true");
    if !marked {
        return (data, metadata);
    }
    match only_value(&data) {
        Some(value) => (value, metadata.as_ref().and_then(|m| without_member(m, MARK))),
        None => (data, metadata),
    }
}

fn only_value(data: &Json) -> Option<Json> {
    let mut members = JsonObject::new(data.clone()).ok()?.members().ok()?;
    let value = members.remove(VALUE)?;
    members.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_object_comes_back_byte_for_byte() {
        let metadata = JsonObject::parse(r#"{"z":1.0,"a":null}"#).unwrap();
        for text in ["null", "[1,1.0]", "12345678901234567890", r#""s""#] {
            for metadata in [None, Some(&metadata)] {
                let data = Json::parse(text).unwrap();
                let wrapped = wrap(&data, metadata);
                assert_eq!(wrapped.data.as_str(), format!(r#"{{"value":{text}}}"#));
                let back = unwrap(wrapped.data.into_owned(), wrapped.metadata.map(Cow::into_owned));
                assert_eq!(back, (data, metadata.cloned()));
            }
        }
    }

    #[test]
    fn what_only_looks_wrapped_stays() {
        let mark = JsonObject::parse(r#"{"data_part_compat":true}"#).unwrap();
        let two = Json::parse(r#"{"value":1,"other":2}"#).unwrap();
        assert_eq!(unwrap(two.clone(), Some(mark.clone())), (two.clone(), Some(mark)));
        assert_eq!(unwrap(two.clone(), None), (two, None));
    }
}
