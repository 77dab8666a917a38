//! Mutations that keep a value valid JSON.

use super::{random::SeededRandom, tree::JsonTree};
use std::fmt::Write;

/// Tokens with a special meaning to readers.
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

/// Member names of every dialect, and some unknown ones.
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

/// Mutates a value in one place. `other` supplies grafts.
pub fn change(tree: &mut JsonTree, other: &JsonTree, random: &mut SeededRandom) {
    let place = random.below(tree.size());
    let place = tree.at(place);
    match random.below(12) {
        0 => *place = token(random),
        1 => *place = JsonTree::Array(vec![place.clone()]),
        2 => *place = JsonTree::Object(vec![(name(random), place.clone())]),
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

pub fn token(random: &mut SeededRandom) -> JsonTree {
    JsonTree::Token((*random.pick(TOKENS)).to_owned())
}

fn name(random: &mut SeededRandom) -> String {
    serde_json::to_string(random.pick(NAMES)).expect("text is JSON")
}

fn graft(other: &JsonTree, random: &mut SeededRandom) -> JsonTree {
    let mut other = other.clone();
    let place = random.below(other.size());
    other.at(place).clone()
}

/// Value nested near the depth limit.
fn nested(random: &mut SeededRandom) -> JsonTree {
    let mut tree = token(random);
    for _ in 0..52 + random.below(16) {
        tree = if random.below(2) == 0 {
            JsonTree::Array(vec![tree])
        } else {
            JsonTree::Object(vec![(name(random), tree)])
        };
    }
    tree
}

fn repeat(place: &mut JsonTree, random: &mut SeededRandom) {
    let times = random.below(40);
    match place {
        JsonTree::Array(list) => {
            if let Some(one) = list.first().cloned() {
                list.extend(std::iter::repeat_n(one, times));
            }
        }
        JsonTree::Object(list) => {
            if let Some(one) = list.last().cloned() {
                list.extend(std::iter::repeat_n(one, times));
            }
        }
        JsonTree::Token(token) if token.len() > 2 && token.starts_with('"') => {
            let inner = token[1..token.len() - 1].repeat(times);
            *token = format!("\"{inner}\"");
        }
        JsonTree::Token(_) => {}
    }
}

fn rename(place: &mut JsonTree, random: &mut SeededRandom) {
    if let JsonTree::Object(list) = place
        && !list.is_empty()
    {
        let which = random.below(list.len());
        list[which].0 = name(random);
    }
}

fn insert(place: &mut JsonTree, random: &mut SeededRandom) {
    match place {
        JsonTree::Array(list) => list.insert(random.below(list.len() + 1), token(random)),
        JsonTree::Object(list) => {
            let member = (name(random), token(random));
            list.insert(random.below(list.len() + 1), member);
        }
        JsonTree::Token(_) => *place = token(random),
    }
}

/// Escapes every character of a string token.
pub fn escaped(token: &str) -> Option<String> {
    let text = serde_json::from_str::<String>(token).ok()?;
    let mut escaped = String::from("\"");
    for unit in text.encode_utf16() {
        let _ = write!(escaped, "\\u{unit:04X}");
    }
    escaped.push('"');
    Some(escaped)
}

/// Escapes a string or a member name; the text stays the same.
fn escape(place: &mut JsonTree, random: &mut SeededRandom) {
    let token = match place {
        JsonTree::Token(token) => token,
        JsonTree::Object(list) if !list.is_empty() => {
            let which = random.below(list.len());
            &mut list[which].0
        }
        JsonTree::Array(_) | JsonTree::Object(_) => return,
    };
    if let Some(escaped) = escaped(token) {
        *token = escaped;
    }
}

fn remove(place: &mut JsonTree, random: &mut SeededRandom) {
    match place {
        JsonTree::Array(list) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        JsonTree::Object(list) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        _ => *place = JsonTree::Token("null".to_owned()),
    }
}

fn shuffle(place: &mut JsonTree, random: &mut SeededRandom) {
    match place {
        JsonTree::Array(list) => list.reverse(),
        JsonTree::Object(list) if list.len() > 1 => {
            let (one, two) = (random.below(list.len()), random.below(list.len()));
            list.swap(one, two);
        }
        _ => *place = token(random),
    }
}
