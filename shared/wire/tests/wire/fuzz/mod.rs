//! Fuzzing: no input makes a reader panic, and every refusal is short. Golden values of every
//! dialect are mutated and fed to all readers.
//!
//! The suite runs a fixed number of cases. `LONGHAUL_TEST_FUZZ_SECONDS` runs a search of that
//! length, starting at `LONGHAUL_TEST_FUZZ_SEED` (default 0). A failing case prints its seed.

pub mod mutate;
mod random;
pub mod tree;

use crate::readers;
use proptest::prelude::*;
use random::SeededRandom;
use serde_json::value::RawValue;
use std::{
    env, fs,
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};
use tree::JsonTree;

/// Number of cases in a normal run.
const FUZZ_CASES: u64 = 400;
/// Maximum number of values in a case; larger ones only cost time.
const MAX_TREE_SIZE: usize = 2_000;

/// Golden values of all dialects. One that is valid in one dialect is nearly valid in the others.
pub static GOLDENS: LazyLock<Vec<String>> = LazyLock::new(|| {
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

static TREES: LazyLock<Vec<JsonTree>> = LazyLock::new(|| {
    let parse = |text: &String| JsonTree::parse(&RawValue::from_string(text.clone()).unwrap());
    GOLDENS.iter().map(parse).collect()
});

/// Prints the input if a reader panics.
struct FailurePrinter<'a>(u64, &'a [u8]);

impl Drop for FailurePrinter<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}: {}", self.0, String::from_utf8_lossy(self.1));
        }
    }
}

fn text(tree: &JsonTree, random: &mut SeededRandom) -> String {
    let mut text = String::new();
    // Either dense or nearly no whitespace.
    let often = [3, 1_000_000][random.below(2)];
    let mut white =
        || if random.below(often) == 0 { *random.pick(&[" ", "\n\t", "\r"]) } else { "" };
    tree.write(&mut text, &mut white);
    text.trim().to_owned()
}

/// Runs one case: a mutated value, then a body with corrupted bytes.
fn case(seed: u64) {
    let mut random = SeededRandom::new(seed);
    let mut tree = random.pick(&TREES).clone();
    for _ in 0..=random.below(6) {
        let other = random.pick(&TREES).clone();
        mutate::change(&mut tree, &other, &mut random);
        if tree.size() > MAX_TREE_SIZE {
            return;
        }
    }
    let value = text(&tree, &mut random);
    let raw = RawValue::from_string(value.clone());
    if let Ok(raw) = &raw {
        let _witness = FailurePrinter(seed, value.as_bytes());
        readers::value(raw);
    }
    let method =
        random.pick(&["SendMessage", "message/send", "tasks/send", "tasks/get", "GetTask"]);
    let mut body = match random.below(3) {
        0 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{value}}}"#),
        1 => format!(r#"{{"jsonrpc":"2.0","id":"a","result":{value}}}"#),
        _ => format!(r#"{{"jsonrpc":"2.0","id":null,"error":{value},"result":{value}}}"#),
    }
    .into_bytes();
    corrupt(&mut body, &mut random);
    let _witness = FailurePrinter(seed, &body);
    readers::body(&body);
}

/// Corrupts up to three bytes.
fn corrupt(body: &mut Vec<u8>, random: &mut SeededRandom) {
    for _ in 0..random.below(4) {
        let at = random.below(body.len());
        match random.below(4) {
            0 => body.truncate(at.max(1)),
            1 => body[at] ^= 1 << random.below(8),
            2 => body.insert(at, *random.pick(b"\"\\{}[],:\0\xff u0e-")),
            _ => drop(body.remove(at)),
        }
        if body.is_empty() {
            return;
        }
    }
}

#[test]
fn every_golden_value_is_safe_for_every_reader() {
    for golden in GOLDENS.iter() {
        readers::value(&RawValue::from_string(golden.clone()).unwrap());
        readers::body(golden.as_bytes());
    }
    // Guards against a moved folder, which would make this test vacuous.
    assert!(GOLDENS.len() > 60, "{}", GOLDENS.len());
}

#[test]
fn mutated_values_and_corrupted_bodies_never_make_a_reader_panic() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("LONGHAUL_TEST_FUZZ_SEED").unwrap_or_default();
    let Some(seconds) = number("LONGHAUL_TEST_FUZZ_SECONDS") else {
        return (first..first + FUZZ_CASES).for_each(case);
    };
    let (began, long) = (Instant::now(), Duration::from_secs(seconds));
    let mut seed = first;
    while began.elapsed() < long {
        (seed..seed + 100).for_each(case);
        seed += 100;
    }
    println!("{} cases, seeds {first} to {}", seed - first, seed - 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&bytes) {
            readers::value(&raw);
        }
        readers::body(&bytes);
        let mut body = br#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":"#.to_vec();
        body.extend(&bytes);
        body.push(b'}');
        readers::body(&body);
    }

    #[test]
    fn golden_values_cut_and_mixed_never_make_a_reader_panic(
        which in any::<prop::sample::Index>(),
        soup in r#"[\{\}\[\]:,"a-z0-9\\u .-]{0,40}"#,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = which.get(GOLDENS.as_slice());
        let cut = whole.floor_char_boundary(cut.index(whole.len()));
        let at = whole.floor_char_boundary(at.index(whole.len()));
        let mixed = format!("{}{soup}{}", &whole[..cut.min(at)], &whole[cut.max(at)..]);
        readers::body(mixed.as_bytes());
        if let Ok(raw) = RawValue::from_string(mixed) {
            readers::value(&raw);
        }
    }
}
