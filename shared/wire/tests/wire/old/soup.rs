//! Nothing that comes from outside makes a reader panic: bytes of any kind, and what was valid until somebody changed it.

use super::{OLD, text};
use longhaul_wire::{Negotiation, jsonrpc::read_call, operation::Operation, v0};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::{fs, path::Path, sync::LazyLock};

/// Every golden file of the older dialects, and of 1.0: what is valid in one is a near miss in another.
static GOLDENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = Vec::new();
    for folder in [root.clone(), root.join("v0_3"), root.join("v0_3_proto"), root.join("v0_1")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
});

fn read_as_everything(raw: &RawValue) {
    for (dialect, form) in OLD {
        for operation in Operation::ALL {
            let _ = dialect.read(operation, raw);
            if let Some(method) = dialect.method(operation) {
                let _ = Negotiation::default().call(None, method, raw);
            }
        }
        let _ = v0::received_task(form, raw);
        let _ = v0::received_send(form, raw);
        let _ = v0::received_event(form, raw);
        let _ = v0::received_page(form, raw);
        let _ = v0::received_push_config(form, raw);
        let _ = v0::received_push_list(form, raw);
    }
    let _ = v0::card::received_card(raw);
}

/// A JSON value with a member removed, doubled, or replaced, somewhere in it.
fn mutate(value: &mut serde_json::Value, steps: &[usize], with: &serde_json::Value) {
    let Some((step, rest)) = steps.split_first() else {
        *value = with.clone();
        return;
    };
    match value {
        serde_json::Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(step % members.len()).unwrap().clone();
            if rest.is_empty() && step % 3 == 0 {
                members.remove(&name);
            } else {
                mutate(&mut members[&name], rest, with);
            }
        }
        serde_json::Value::Array(elements) if !elements.is_empty() => {
            let at = step % elements.len();
            mutate(&mut elements[at], rest, with);
        }
        other => *other = with.clone(),
    }
}

proptest! {
    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&bytes) {
            read_as_everything(&raw);
        }
        let mut body = br#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":"#.to_vec();
        body.extend(&bytes);
        body.push(b'}');
        if let Ok(call) = read_call(&body) {
            read_as_everything(call.params());
        }
    }

    #[test]
    fn valid_texts_cut_and_mixed(
        which in any::<prop::sample::Index>(),
        soup in r#"[\{\}\[\]:,"a-z0-9\\u .-]{0,40}"#,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = which.get(GOLDENS.as_slice());
        let cut = whole.floor_char_boundary(cut.index(whole.len()));
        let at = whole.floor_char_boundary(at.index(whole.len()));
        let mixed = format!("{}{soup}{}", &whole[..cut.min(at)], &whole[cut.max(at)..]);
        if let Ok(raw) = RawValue::from_string(mixed) {
            read_as_everything(&raw);
        }
    }

    #[test]
    fn valid_values_with_something_else_in_them(
        which in any::<prop::sample::Index>(),
        steps in proptest::collection::vec(0usize..12, 1..7),
        with in prop::sample::select(vec![
            "null", "{}", "[]", "\"\"", "\"text\"", "0", "-1", "1e400", "true", "[{}]", "[null]",
            "{\"value\":1}", "\"tasks/\"", "\"tasks/a/pushNotificationConfigs/\"", "\"\\u0000\"",
        ]),
    ) {
        let mut value = serde_json::from_str::<serde_json::Value>(which.get(GOLDENS.as_slice()).as_str()).unwrap();
        // Not every text of the list fits into a tree of values.
        let with = serde_json::from_str(with).unwrap_or(serde_json::Value::Null);
        mutate(&mut value, &steps, &with);
        read_as_everything(&text(&value.to_string()));
    }
}

#[test]
fn every_golden_of_every_dialect_is_read_as_everything() {
    for golden in GOLDENS.iter() {
        read_as_everything(&text(golden));
    }
    assert!(GOLDENS.len() > 60, "{}", GOLDENS.len());
}
