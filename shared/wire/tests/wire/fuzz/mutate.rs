//! Changes to a value that keep it JSON and make it wrong, or right in another way.

use super::{random::Random, tree::Tree};
use std::fmt::Write;

/// Tokens that readers have an opinion of.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "3",
    "9",
    "100",
    "101",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9007199254740993",
    "1e400",
    "-1e-400",
    "1.0",
    "1.5",
    "2e1",
    "12345678901234567890123",
    r#""""#,
    r#"" ""#,
    r#""text""#,
    r#""file""#,
    r#""data""#,
    r#""message""#,
    r#""task""#,
    r#""status-update""#,
    r#""artifact-update""#,
    r#""user""#,
    r#""agent""#,
    r#""ROLE_USER""#,
    r#""ROLE_UNSPECIFIED""#,
    r#""completed""#,
    r#""unknown""#,
    r#""TASK_STATE_CANCELLED""#,
    r#""TASK_STATE_UNSPECIFIED""#,
    r#""3""#,
    r#""true""#,
    r#""NaN""#,
    r#""inf""#,
    r#""Infinity""#,
    r#""tasks/""#,
    r#""tasks/t""#,
    r#""tasks/t/pushNotificationConfigs/""#,
    r#""tasks/t/pushNotificationConfigs/p""#,
    r#""http://h""#,
    r#""http://""#,
    r#""018f2f6e-7b7a-7000-8000-000000000001""#,
    r#""018F2F6E-7B7A-7000-8000-000000000001""#,
    r#""a17a9c77-8966-84d7-a843-f3f08e616e9e""#,
    r#""2026-01-02T03:04:05.123456789Z""#,
    r#""2016-12-31T23:59:60Z""#,
    r#""+262142-12-31T23:59:59Z""#,
    r#""0000-01-01T00:00:00+23:59""#,
    r#""AA==""#,
    r#""-_8""#,
    r#""A""#,
    r#""U0dWc2JHOD0=""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\ud83d\ude00""#,
    r#""\u00e9\n\"\\""#,
    r#""\/""#,
    r#""apiKey""#,
    r#""oauth2""#,
    r#""0.3.0""#,
    r#""1.0""#,
];

/// Members that readers know, of every dialect, and some that none does.
const NAMES: &[&str] = &[
    "id",
    "taskId",
    "task_id",
    "contextId",
    "context_id",
    "sessionId",
    "session_id",
    "messageId",
    "message_id",
    "message",
    "msg",
    "request",
    "role",
    "parts",
    "content",
    "kind",
    "type",
    "text",
    "file",
    "data",
    "raw",
    "url",
    "uri",
    "bytes",
    "fileWithBytes",
    "file_with_uri",
    "mimeType",
    "media_type",
    "name",
    "filename",
    "metadata",
    "extensions",
    "referenceTaskIds",
    "status",
    "state",
    "update",
    "timestamp",
    "artifacts",
    "artifact",
    "artifactId",
    "index",
    "append",
    "lastChunk",
    "final",
    "history",
    "historyLength",
    "history_length",
    "configuration",
    "blocking",
    "returnImmediately",
    "acceptedOutputModes",
    "pushNotificationConfig",
    "pushNotification",
    "taskPushNotificationConfig",
    "token",
    "authentication",
    "schemes",
    "scheme",
    "credentials",
    "parent",
    "configId",
    "config",
    "pushNotificationConfigId",
    "task",
    "tasks",
    "statusUpdate",
    "artifactUpdate",
    "pageSize",
    "pageToken",
    "nextPageToken",
    "totalSize",
    "includeArtifacts",
    "statusTimestampAfter",
    "tenant",
    "description",
    "value",
    "data_part_compat",
    "supportedInterfaces",
    "additionalInterfaces",
    "preferredTransport",
    "protocolVersion",
    "securitySchemes",
    "security",
    "securityRequirements",
    "skills",
    "flows",
    "capabilities",
    "signatures",
    "urn:longhaul:a2a:resume:v1",
    "seq",
    "jsonrpc",
    "method",
    "params",
    "result",
    "error",
    "code",
    "details",
    "@type",
    "__proto__",
    "",
    "é",
];

/// Changes a value in one place. `other` is where foreign values come from.
pub fn change(tree: &mut Tree, other: &Tree, random: &mut Random) {
    let place = random.below(tree.size());
    let place = tree.at(place);
    match random.below(12) {
        0 => *place = token(random),
        1 => *place = Tree::Array(vec![place.clone()]),
        2 => *place = Tree::Object(vec![(name(random), place.clone())]),
        3 => *place = graft(other, random),
        4 => *place = nested(random),
        5 => repeat(place, random),
        6 => rename(place, random),
        7 => insert(place, random),
        8 => escape(place, random),
        9 | 10 => remove(place, random),
        _ => shuffle(place, random),
    }
}

pub fn token(random: &mut Random) -> Tree {
    Tree::Token((*random.of(TOKENS)).to_owned())
}

fn name(random: &mut Random) -> String {
    serde_json::to_string(random.of(NAMES)).expect("text is JSON")
}

fn graft(other: &Tree, random: &mut Random) -> Tree {
    let mut other = other.clone();
    let place = random.below(other.size());
    other.at(place).clone()
}

/// Nested about as deep as is allowed.
fn nested(random: &mut Random) -> Tree {
    let mut tree = token(random);
    for _ in 0..52 + random.below(16) {
        tree = if random.below(2) == 0 {
            Tree::Array(vec![tree])
        } else {
            Tree::Object(vec![(name(random), tree)])
        };
    }
    tree
}

fn repeat(place: &mut Tree, random: &mut Random) {
    let times = random.below(40);
    match place {
        Tree::Array(list) => {
            if let Some(one) = list.first().cloned() {
                list.extend(std::iter::repeat_n(one, times));
            }
        }
        Tree::Object(list) => {
            if let Some(one) = list.last().cloned() {
                list.extend(std::iter::repeat_n(one, times));
            }
        }
        Tree::Token(token) if token.len() > 2 && token.starts_with('"') => {
            let inner = token[1..token.len() - 1].repeat(times);
            *token = format!("\"{inner}\"");
        }
        Tree::Token(_) => {}
    }
}

fn rename(place: &mut Tree, random: &mut Random) {
    if let Tree::Object(list) = place
        && !list.is_empty()
    {
        let which = random.below(list.len());
        list[which].0 = name(random);
    }
}

fn insert(place: &mut Tree, random: &mut Random) {
    match place {
        Tree::Array(list) => list.insert(random.below(list.len() + 1), token(random)),
        Tree::Object(list) => {
            let member = (name(random), token(random));
            list.insert(random.below(list.len() + 1), member);
        }
        Tree::Token(_) => *place = token(random),
    }
}

/// A string token whose every character is an escape.
pub fn escaped(token: &str) -> Option<String> {
    let text = serde_json::from_str::<String>(token).ok()?;
    let mut escaped = String::from("\"");
    for unit in text.encode_utf16() {
        let _ = write!(escaped, "\\u{unit:04X}");
    }
    escaped.push('"');
    Some(escaped)
}

/// The same text, spelled with escapes.
fn escape(place: &mut Tree, random: &mut Random) {
    let token = match place {
        Tree::Token(token) => token,
        Tree::Object(list) if !list.is_empty() => {
            let which = random.below(list.len());
            &mut list[which].0
        }
        Tree::Array(_) | Tree::Object(_) => return,
    };
    if let Some(escaped) = escaped(token) {
        *token = escaped;
    }
}

fn remove(place: &mut Tree, random: &mut Random) {
    match place {
        Tree::Array(list) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        Tree::Object(list) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        _ => *place = Tree::Token("null".to_owned()),
    }
}

fn shuffle(place: &mut Tree, random: &mut Random) {
    match place {
        Tree::Array(list) => list.reverse(),
        Tree::Object(list) if list.len() > 1 => {
            let (one, two) = (random.below(list.len()), random.below(list.len()));
            list.swap(one, two);
        }
        _ => *place = token(random),
    }
}
