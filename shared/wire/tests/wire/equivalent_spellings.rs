//! Equivalent spellings: each golden value is rewritten in ways that keep its meaning, and every
//! reader must read the same from both.

use crate::{
    fuzz::{GOLDENS, mutate, tree::JsonTree},
    readers,
};
use longhaul_domain::{Role, TaskState};
use longhaul_wire::{v0::LegacyForm, v1};
use serde_json::value::RawValue;

/// Members whose values are kept verbatim or hold client-chosen names.
const OPAQUE_MEMBERS: [&str; 9] = [
    "header",
    "metadata",
    "data",
    "scopes",
    "params",
    "securitySchemes",
    "security",
    "securityRequirements",
    "schemes",
];

/// Rewrites one value; called for each value with its member name, from the inside out.
type Rewrite = fn(&mut JsonTree, &str);

const REWRITES: [(&str, Rewrite); 15] = [
    ("names in snake_case", |tree, _| names(tree, snake)),
    ("names with escapes", |tree, _| names(tree, escaped)),
    ("members in another order", |tree, _| {
        if let JsonTree::Object(list) = tree {
            list.reverse();
        }
    }),
    ("members that nobody knows", |tree, _| {
        if let JsonTree::Object(list) = tree {
            let unknown = r#"{"a":[1,{"b":null}],"role":7,"parts":3}"#.to_owned();
            list.insert(0, (r#""unknown""#.to_owned(), JsonTree::Token(unknown.clone())));
            list.push((r#""x-other""#.to_owned(), JsonTree::Token(unknown)));
        }
    }),
    ("null where nothing is said", |tree, _| nulls(tree)),
    ("a name twice, of which the last counts", |tree, _| {
        if let JsonTree::Object(list) = tree {
            let first: Vec<_> = list.iter().map(|(name, _)| (name.clone(), token("7"))).collect();
            list.splice(0..0, first);
        }
    }),
    ("texts with escapes", |tree, _| {
        if let JsonTree::Token(text) = tree
            && text.starts_with('"')
        {
            *text = escaped(text);
        }
    }),
    ("integers with a fraction of zero", |tree, _| integers(tree, |digits| format!("{digits}.0"))),
    ("integers as texts", |tree, _| integers(tree, |digits| format!("\"{digits}\""))),
    ("integers with an exponent", |tree, _| integers(tree, |digits| format!("{digits}.0E+0"))),
    ("booleans as texts", |tree, _| {
        if let JsonTree::Token(text) = tree
            && matches!(text.as_str(), "true" | "false")
        {
            *text = format!("\"{text}\"");
        }
    }),
    ("base64 of the other alphabet, without padding", |tree, name| {
        if let (JsonTree::Token(text), "raw" | "bytes" | "fileWithBytes") = (tree, name) {
            *text = text.replace('+', "-").replace('/', "_").replace('=', "");
        }
    }),
    ("times with an offset", |tree, name| {
        if let (JsonTree::Token(text), "timestamp" | "statusTimestampAfter") = (tree, name) {
            *text = text.replace("Z\"", "000+00:00\"").replace('T', "t");
        }
    }),
    ("enums by their protobuf names", |tree, name| {
        enums(tree, name, |number| match number {
            Enum::State(state) => LegacyForm::V0_3Proto.state_name(state).to_owned(),
            Enum::Role(role) => v1::role_name(role).to_owned(),
        });
    }),
    ("enums by their names in JSON", |tree, name| {
        enums(tree, name, |number| match number {
            Enum::State(state) => LegacyForm::V0_3.state_name(state).to_owned(),
            Enum::Role(role) => LegacyForm::V0_3.role_name(role).to_owned(),
        });
    }),
];

fn token(text: &str) -> JsonTree {
    JsonTree::Token(text.to_owned())
}

fn names(tree: &mut JsonTree, rename: fn(&str) -> String) {
    if let JsonTree::Object(list) = tree {
        for (name, _) in list {
            *name = rename(name);
        }
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn escaped(token: &str) -> String {
    mutate::escaped(token).unwrap()
}

/// Adds null members under known but absent names, in either spelling.
fn nulls(tree: &mut JsonTree) {
    const KNOWN: [&str; 22] = [
        "tenant",
        "contextId",
        "taskId",
        "metadata",
        "extensions",
        "referenceTaskIds",
        "parts",
        "content",
        "kind",
        "type",
        "text",
        "file",
        "raw",
        "url",
        "filename",
        "mediaType",
        "configuration",
        "historyLength",
        "pushNotification",
        "authentication",
        "credentials",
        "message",
    ];
    if let JsonTree::Object(list) = tree {
        for name in KNOWN {
            let name = format!("\"{name}\"");
            if list.iter().all(|(there, _)| *there != name) {
                list.push((name, token("null")));
            }
        }
    }
}

fn integers(tree: &mut JsonTree, spell: fn(&str) -> String) {
    if let JsonTree::Token(text) = tree
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        *text = spell(text);
    }
}

enum Enum {
    State(TaskState),
    Role(Role),
}

fn enums(tree: &mut JsonTree, name: &str, spell: fn(Enum) -> String) {
    let JsonTree::Token(text) = tree else { return };
    let is = |of: &str| text.trim_matches('"') == of;
    let state = |state: &TaskState| {
        is(v1::state_name(*state)) || LegacyForm::ALL.iter().any(|form| is(form.state_name(*state)))
    };
    let role = |role: &Role| is(v1::role_name(*role)) || is(LegacyForm::V0_3.role_name(*role));
    let found = match name {
        // In 0.1 one name stands for two states; readers choose the first.
        "state" | "status" => TaskState::ALL.into_iter().find(state).map(Enum::State),
        "role" => [Role::User, Role::Agent].into_iter().find(role).map(Enum::Role),
        _ => None,
    };
    if let Some(found) = found {
        *text = format!("\"{}\"", spell(found));
    }
}

fn apply(tree: &mut JsonTree, name: &str, rewrite: Rewrite) {
    match tree {
        JsonTree::Token(_) => {}
        JsonTree::Array(list) => list.iter_mut().for_each(|value| apply(value, name, rewrite)),
        JsonTree::Object(list) => {
            for (name, value) in list.iter_mut() {
                let name: String = serde_json::from_str(name).unwrap();
                if !OPAQUE_MEMBERS.contains(&name.as_str()) {
                    apply(value, &name, rewrite);
                }
            }
        }
    }
    rewrite(tree, name);
}

#[test]
fn equivalent_spellings_read_the_same() {
    for golden in GOLDENS.iter() {
        let raw = RawValue::from_string(golden.clone()).unwrap();
        let expected = readers::meanings(&raw);
        for (what, rewrite) in REWRITES {
            let mut tree = JsonTree::parse(&raw);
            apply(&mut tree, "", rewrite);
            let mut text = String::new();
            tree.write(&mut text, &mut || " ");
            let rewritten = RawValue::from_string(text.trim().to_owned()).unwrap();
            let read = readers::meanings(&rewritten);
            for (old, new) in expected.iter().zip(read).filter(|(old, _)| !old.is_empty()) {
                assert_eq!(*old, new, "{what}: {golden} as {rewritten}");
            }
        }
    }
}
