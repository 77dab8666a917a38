//! The measured operations, each with prepared input.

use crate::samples;
use longhaul_domain::{BlobHash, ContextId, EntryBody, EntryKind, Json, LogEntry, Task, TaskId};
use std::{cell::RefCell, hint::black_box};

/// A measured operation.
pub struct Case {
    /// The kind of operation.
    pub group: &'static str,
    /// The input.
    pub name: String,
    /// The number of entries, ids or bytes processed.
    pub elements: u64,
    /// Runs the operation once.
    pub run: Box<dyn Fn()>,
}

/// All operations.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = [10, 1_000, 100_000].into_iter().flat_map(log).collect();
    cases.extend(stored());
    cases.extend(ids());
    cases.extend(kept_json());
    cases
}

fn case(group: &'static str, name: &str, elements: usize, run: impl Fn() + 'static) -> Case {
    Case { group, name: name.to_owned(), elements: elements as u64, run: Box::new(run) }
}

/// Folds of a log of this length, including the copies of its entries, and the application of one
/// entry to its snapshot, which must cost the same at every length.
fn log(length: i64) -> Vec<Case> {
    let count = usize::try_from(length).expect("not negative");
    let kinds = [
        ("talk", samples::turn as fn(i64) -> EntryBody),
        ("chunks", samples::chunk),
        ("artifacts", samples::whole),
        ("progress", samples::progress),
    ];
    let mut cases = Vec::new();
    for (name, body) in kinds {
        // Quadratic: each new artifact is searched among all others. More would take minutes.
        if name == "artifacts" && length > 1_000 {
            continue;
        }
        let entries: Vec<LogEntry> = (1..=length).map(|seq| samples::entry(seq, body)).collect();
        let grown = entries.clone();
        cases.push(case("fold", &format!("{count} of {name}"), count, move || {
            let mut task = samples::task();
            fold(&mut task, &entries);
            black_box(task);
        }));
        if name == "artifacts" {
            continue;
        }
        let mut task = samples::task();
        fold(&mut task, &grown);
        let grown = RefCell::new(task);
        cases.push(case("apply", &format!("{name} after {count}"), 1, move || {
            let mut task = grown.borrow_mut();
            let seq = task.last_seq.next();
            task.apply(samples::entry(seq.0, samples::quiet)).expect("the next entry");
        }));
    }
    cases
}

fn fold(task: &mut Task, entries: &[LogEntry]) {
    for entry in entries {
        task.apply(entry.clone()).expect("no gap");
    }
}

/// Encoding and decoding of entries for a store.
fn stored() -> Vec<Case> {
    let bodies = [
        ("message", samples::turn(1)),
        ("status", samples::progress(1)),
        ("chunk, 100 B", samples::chunk(1)),
        ("chunk, 32 KiB", samples::large_chunk(32 * 1024)),
        ("chunk, 32 KiB of bytes", samples::bytes_chunk(32 * 1024)),
    ];
    let mut cases = Vec::new();
    for (name, body) in bodies {
        let (kind, text): (EntryKind, String) = (body.kind(), body.encode());
        let bytes = text.len();
        cases.push(case("store", name, bytes, move || drop(black_box(body.encode()))));
        cases.push(case("load", name, bytes, move || {
            drop(black_box(EntryBody::decode(kind, black_box(&text)).expect("as encoded")));
        }));
    }
    cases
}

fn ids() -> Vec<Case> {
    let id = samples::task_id();
    let text = id.to_string();
    let hash = BlobHash::digest(b"x");
    vec![
        case("id", "shown", 1, move || drop(black_box(black_box(id).to_string()))),
        case("id", "parsed", 1, move || {
            black_box(black_box(&text).parse::<TaskId>().expect("an id"));
        }),
        case("id", "of a context", 1, move || drop(black_box(ContextId::from(id.uuid())))),
        case("id", "blob hash shown", 1, move || drop(black_box(black_box(hash).to_string()))),
    ]
}

/// Parsing of JSON values.
fn kept_json() -> Vec<Case> {
    let texts = [
        ("small", r#"{"page":1,"tags":["a","b"]}"#.to_owned()),
        ("64 KiB", samples::large_json(64 * 1024, false)),
        ("64 KiB with white space", samples::large_json(64 * 1024, true)),
    ];
    let keep = |(name, text): (&str, String)| {
        case("json", name, text.len(), move || {
            drop(black_box(Json::parse(black_box(&text)).expect("JSON")));
        })
    };
    texts.map(keep).into()
}
