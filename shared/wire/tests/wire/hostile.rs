//! Hostile input is read in linear time and refused in few words.
//!
//! The inputs are so long that a quadratic reader exceeds the runner's time limit. To count
//! instructions, `LONGHAUL_TEST_HOSTILE_BYTES` sets their length and `LONGHAUL_TEST_HOSTILE_SHAPE`
//! selects one by name: four times the length must cost four times as much.

use crate::readers;
use longhaul_wire::{
    Dialect, Operation,
    v0::{self, LegacyForm},
    v1,
};
use serde_json::value::RawValue;
use std::{env, fmt::Write};

/// Approximate length of an input, in bytes.
const SHAPE_BYTES: usize = 100_000;
/// Length factor for cards, which are read once instead of in every dialect.
const CARD_LENGTH_FACTOR: usize = 100;

/// Name and generator of an input of roughly the given length.
type HostileShape = (&'static str, fn(usize) -> String);

const SHAPES: [HostileShape; 17] = [
    ("many members", |bytes| message(&format!(r#""x":0{}"#, members(bytes)), "")),
    ("one member many times", |bytes| {
        message(&format!(r#""x":0{}"#, r#","x":1"#.repeat(bytes / 6)), "")
    }),
    ("one known member many times", |bytes| {
        message(&format!(r#""role":1{}"#, r#","role":"user""#.repeat(bytes / 14)), "")
    }),
    ("names with escapes", |bytes| {
        message(&format!(r#""x":0{}"#, r#","\u0072\u006f\u006c\u0065":1"#.repeat(bytes / 28)), "")
    }),
    ("a long text with escapes", |bytes| {
        part(&format!(r#"{{"text":"{}"}}"#, r"\ud83d\ude00".repeat(bytes / 12)))
    }),
    ("a long name", |bytes| message(&format!(r#""{}":1"#, "n".repeat(bytes)), "")),
    ("a long id", |bytes| format!(r#"{{"id":"{0}","name":"tasks/{0}"}}"#, "9".repeat(bytes / 2))),
    ("a long number", |bytes| format!(r#"{{"id":"t","historyLength":{}}}"#, "9".repeat(bytes))),
    ("nesting at the limit", |bytes| {
        // Within the depth limit, with the message around it.
        let deep = format!("{}{}", "[".repeat(55), "]".repeat(55));
        part(&vec![format!(r#"{{"kind":"data","data":{{"data":{deep}}}}}"#); bytes / 145].join(","))
    }),
    ("nesting beyond the limit", |bytes| {
        part(&format!(r#"{{"data":{}{}}}"#, "[".repeat(bytes / 2), "]".repeat(bytes / 2)))
    }),
    ("many parts", |bytes| part(&vec![r#"{"text":""}"#; bytes / 12].join(","))),
    ("many wrong parts", |bytes| part(&vec!["{}"; bytes / 3].join(","))),
    ("parts wrong in many ways", |bytes| {
        part(
            &vec![r#"{"kind":1,"text":1,"metadata":1,"filename":1,"name":1}"#; bytes / 54]
                .join(","),
        )
    }),
    ("many data in need of a wrapper", |bytes| {
        let one =
            r#"{"kind":"data","data":{"value":1},"metadata":{"data_part_compat":true,"k":1}}"#;
        part(&vec![one; bytes / 78].join(","))
    }),
    ("many artifacts", |bytes| {
        let one = r#"{"artifactId":"a","parts":[],"index":1}"#;
        let list = vec![one; bytes / 40].join(",");
        format!(
            r#"{{"kind":"task","id":"t","contextId":"c","sessionId":"c","status":{{"state":3}},"artifacts":[{list}]}}"#
        )
    }),
    ("a card with many interfaces", |bytes| {
        let mut list = String::new();
        for number in 0..bytes / 35 {
            let comma = if number > 0 { "," } else { "" };
            let _ = write!(list, r#"{comma}{{"url":"http://h/{number}","transport":"x"}}"#);
        }
        format!(
            r#"{{"name":"n","url":"http://h","protocolVersion":"0.3.0","additionalInterfaces":[{list}]}}"#
        )
    }),
    ("a card with a long version and many schemes", |bytes| {
        let schemes = members(bytes / 2).replace(":0", r#":{"type":"http"}"#);
        format!(
            r#"{{"name":"n","url":"h","protocolVersion":"{}","securitySchemes":{{"x":{{"type":"x"}}{schemes}}}}}"#,
            "9".repeat(bytes / 2)
        )
    }),
];

fn members(bytes: usize) -> String {
    let mut list = String::new();
    for number in 0..bytes / 11 {
        let _ = write!(list, r#","k{number:06}":0"#);
    }
    list
}

fn message(members: &str, rest: &str) -> String {
    let parts = r#""parts":[{"text":"t"}],"content":[{"text":"t"}]"#;
    format!(r#"{{"id":"t","message":{{"messageId":"m","role":"user",{parts},{members}}}{rest}}}"#)
}

fn part(parts: &str) -> String {
    format!(r#"{{"id":"t","message":{{"messageId":"m","role":"user","parts":[{parts}]}}}}"#)
}

/// Inputs that are cards, or those that are not.
fn shapes(cards: bool) -> impl Iterator<Item = (&'static str, Box<RawValue>)> {
    let bytes = env::var("LONGHAUL_TEST_HOSTILE_BYTES").ok().and_then(|text| text.parse().ok());
    let wanted = env::var("LONGHAUL_TEST_HOSTILE_SHAPE").ok();
    let bytes = bytes.unwrap_or(if cards { SHAPE_BYTES * CARD_LENGTH_FACTOR } else { SHAPE_BYTES });
    let chosen = move |name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let shapes = SHAPES.into_iter().filter(move |(name, _)| name.contains("card") == cards);
    shapes.filter(move |(name, _)| chosen(name)).map(move |(name, shape)| {
        let raw = RawValue::from_string(shape(bytes));
        (name, raw.unwrap_or_else(|error| panic!("{name}: {error}")))
    })
}

#[test]
fn hostile_requests_are_read_in_linear_time_and_refused_in_few_words() {
    for (_, raw) in shapes(false) {
        for dialect in Dialect::ALL {
            readers::request(dialect, Operation::Send, &raw);
            readers::request(dialect, Operation::Get, &raw);
        }
        for form in LegacyForm::ALL {
            let _ = v0::received_task(form, &raw);
        }
        let _ = v1::received_task(&raw);
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":"#;
        readers::body(format!("{call}{}}}", raw.get()).as_bytes());
    }
}

#[test]
fn hostile_cards_are_read_in_linear_time() {
    for (name, raw) in shapes(true) {
        let read = [v1::card::received_card(&raw), v0::card::received_card(&raw)];
        assert!(read.iter().any(Result::is_ok) || name.contains("schemes"), "{name}: {read:?}");
    }
}
