//! Nothing that comes from outside makes a reader panic, and every refusal is answered in few words: values of every dialect,
//! changed at random, are read as everything there is.
//!
//! The suite runs a fixed number of cases. `LONGHAUL_TEST_FUZZ_SECONDS` makes it a search that long, from
//! `LONGHAUL_TEST_FUZZ_SEED` on (0 if absent). A case that fails is printed with its seed.

pub mod mutate;
mod random;
pub mod tree;

use crate::every;
use random::Random;
use serde_json::value::RawValue;
use std::{
    env, fs,
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};
use tree::Tree;

/// Cases of an ordinary run.
const CASES: u64 = 400;
/// Most values that a case holds: what is larger is only slower.
const LARGEST: usize = 2_000;

/// Values that are right in one dialect, which is nearly right in another.
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

static TREES: LazyLock<Vec<Tree>> = LazyLock::new(|| {
    let of = |text: &String| Tree::of(&RawValue::from_string(text.clone()).unwrap());
    GOLDENS.iter().map(of).collect()
});

/// Says which input it was, should a reader panic.
struct Witness<'a>(u64, &'a [u8]);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}: {}", self.0, String::from_utf8_lossy(self.1));
        }
    }
}

fn text(tree: &Tree, random: &mut Random) -> String {
    let mut text = String::new();
    let often = [3, 1_000_000][random.below(2)];
    let mut white = || if random.below(often) == 0 { *random.of(&[" ", "\n\t", "\r"]) } else { "" };
    tree.write(&mut text, &mut white);
    text.trim().to_owned()
}

/// One case: a value that was changed a few times, then a body whose bytes were.
fn case(seed: u64) {
    let mut random = Random::new(seed);
    let mut tree = random.of(&TREES).clone();
    for _ in 0..=random.below(6) {
        let other = random.of(&TREES).clone();
        mutate::change(&mut tree, &other, &mut random);
        if tree.size() > LARGEST {
            return;
        }
    }
    let value = text(&tree, &mut random);
    let raw = RawValue::from_string(value.clone());
    if let Ok(raw) = &raw {
        let _witness = Witness(seed, value.as_bytes());
        every::value(raw);
    }
    let method = random.of(&["SendMessage", "message/send", "tasks/send", "tasks/get", "GetTask"]);
    let mut body = match random.below(3) {
        0 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{value}}}"#),
        1 => format!(r#"{{"jsonrpc":"2.0","id":"a","result":{value}}}"#),
        _ => format!(r#"{{"jsonrpc":"2.0","id":null,"error":{value},"result":{value}}}"#),
    }
    .into_bytes();
    damage(&mut body, &mut random);
    let _witness = Witness(seed, &body);
    every::body(&body);
}

/// Changes some bytes, or none.
fn damage(body: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.below(body.len());
        match random.below(4) {
            0 => body.truncate(at.max(1)),
            1 => body[at] ^= 1 << random.below(8),
            2 => body.insert(at, *random.of(b"\"\\{}[],:\0\xff u0e-")),
            _ => drop(body.remove(at)),
        }
        if body.is_empty() {
            return;
        }
    }
}

#[test]
fn every_golden_of_every_dialect_is_read_as_everything() {
    for golden in GOLDENS.iter() {
        every::value(&RawValue::from_string(golden.clone()).unwrap());
        every::body(golden.as_bytes());
    }
    assert!(GOLDENS.len() > 60, "{}", GOLDENS.len());
}

#[test]
fn changed_values_and_damaged_bodies_never_make_a_reader_panic() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("LONGHAUL_TEST_FUZZ_SEED").unwrap_or_default();
    let Some(seconds) = number("LONGHAUL_TEST_FUZZ_SECONDS") else {
        return (first..first + CASES).for_each(case);
    };
    let (began, long) = (Instant::now(), Duration::from_secs(seconds));
    let mut seed = first;
    while began.elapsed() < long {
        (seed..seed + 100).for_each(case);
        seed += 100;
    }
    println!("{} cases, seeds {first} to {}", seed - first, seed - 1);
}
