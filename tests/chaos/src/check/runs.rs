//! A run that another run has followed writes nothing more.
//!
//! A run begins behind its claim, and the claim fences everything before it, so whatever an earlier run wrote was written
//! before the later one began. All clocks are one machine's.

use super::{Found, Rule};
use crate::{
    journal::What,
    records::{Stored, TaskRecord},
};

/// A run by its id and beginning.
type Begun<'a> = (&'a str, i64);

pub(super) fn check(stored: &Stored, record: &TaskRecord, found: &mut Found<'_>) {
    let runs: Vec<Begun<'_>> = record
        .signs
        .iter()
        .filter(|sign| matches!(sign.what, What::Begun { .. }))
        .map(|sign| (sign.run.as_str(), sign.at))
        .collect();
    let mut latest = 0;
    for entry in &stored.log {
        let Some(run) = entry.run() else { continue };
        let Some(place) = runs.iter().position(|(id, _)| *id == run) else {
            found
                .add(Rule::Fenced, format!("entry {} is of run {run} that never began", entry.seq));
            return;
        };
        if place < latest {
            let after = runs[latest].0;
            found
                .add(Rule::Fenced, format!("entry {} of run {run} follows run {after}", entry.seq));
            return;
        }
        latest = place;
        if let Some((next, begun)) = runs.get(place + 1).filter(|(_, begun)| entry.at > *begun) {
            let late = (entry.at - begun) / 1_000;
            found.add(
                Rule::Fenced,
                format!(
                    "entry {} of run {run} was written {late} ms after run {next} began",
                    entry.seq
                ),
            );
            return;
        }
    }
}
