//! Data that is not an object: it stands in one as its only member `value`, and a member of the part's metadata says so.

use prost_types::{Struct, Value, value::Kind};

/// In the metadata of a part: its data stands for the value in it.
const MARK: &str = "data_part_compat";
const VALUE: &str = "value";

/// Makes an object of any value; the mark goes into the metadata.
pub(super) fn wrap(value: Value, metadata: Option<Struct>) -> (Struct, Option<Struct>) {
    if let Some(Kind::StructValue(object)) = value.kind {
        return (object, metadata);
    }
    let mut marked = metadata.unwrap_or_default();
    marked.fields.insert(MARK.to_owned(), Value { kind: Some(Kind::BoolValue(true)) });
    (Struct { fields: [(VALUE.to_owned(), value)].into() }, Some(marked))
}

/// The value that was wrapped, and the metadata without the mark; anything else stays as it is.
pub(super) fn unwrap(mut data: Struct, metadata: Option<Struct>) -> (Value, Option<Struct>) {
    let object = |data| Value { kind: Some(Kind::StructValue(data)) };
    let Some(mut marked) = metadata else { return (object(data), None) };
    let is_marked = marked
        .fields
        .get(MARK)
        .is_some_and(|mark| matches!(mark.kind, Some(Kind::BoolValue(true))));
    if !is_marked || data.fields.len() != 1 {
        return (object(data), Some(marked));
    }
    let Some(value) = data.fields.remove(VALUE) else { return (object(data), Some(marked)) };
    marked.fields.remove(MARK);
    (value, Some(marked).filter(|metadata| !metadata.fields.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Value {
        Value { kind: Some(Kind::NumberValue(number)) }
    }

    #[test]
    fn a_value_that_is_no_object_comes_back() {
        let some = Struct { fields: [("a".to_owned(), number(1.0))].into() };
        for metadata in [None, Some(some)] {
            let (data, marked) = wrap(number(7.0), metadata.clone());
            assert_eq!(data.fields.len(), 1);
            assert_eq!(unwrap(data, marked), (number(7.0), metadata));
        }
    }

    #[test]
    fn what_only_looks_wrapped_stays() {
        let mark = Value { kind: Some(Kind::BoolValue(true)) };
        let marked = Struct { fields: [(MARK.to_owned(), mark)].into() };
        let two = [(VALUE.to_owned(), number(1.0)), ("other".to_owned(), number(2.0))];
        let two = Struct { fields: two.into() };
        let object = Value { kind: Some(Kind::StructValue(two.clone())) };
        assert_eq!(unwrap(two.clone(), Some(marked.clone())), (object.clone(), Some(marked)));
        assert_eq!(unwrap(two, None), (object, None));
    }
}
