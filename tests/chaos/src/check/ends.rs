//! Every acknowledged task is there and has ended or is parked, as its kind should.

use super::{Found, Rule};
use crate::{
    journal::What,
    records::{Stored, TaskRecord, is_terminal, state_of},
};

/// How much earlier than asked for a start may look because of rounding, in microseconds.
const ROUNDING: i64 = 2_000;

pub(super) fn check(record: &TaskRecord, found: &mut Found<'_>) {
    if let Some(told) = &record.told {
        for complaint in &told.complaints {
            found.add(Rule::Answers, complaint);
        }
        for other in &told.other_tasks {
            found.add(Rule::OneTask, format!("the same message was also acknowledged as {other}"));
        }
        if !told.done && record.stored.as_ref().is_some_and(|stored| is_terminal(&stored.state)) {
            found.add(Rule::Answers, "the task has ended, and its client was not told in time");
        }
        not_before(record, told.not_before, found);
    }
    match &record.stored {
        None => found.add(Rule::NotLost, "it was acknowledged, and the database has no such task"),
        Some(stored) => end(record, stored, found),
    }
}

fn end(record: &TaskRecord, stored: &Stored, found: &mut Found<'_>) {
    let state = stored.state.as_str();
    let parked = matches!(state, "input-required" | "auth-required");
    match record.order() {
        _ if !is_terminal(state) && !parked => {
            found.add(Rule::Ended, format!("it is still {state}"));
        }
        // Who was never told of the task cannot have answered or canceled it.
        Some(order) if record.told.is_some() && !order.ends().contains(&state) => {
            found.add(Rule::RightEnd, format!("it is {state}, not {}", order.ends().join(" or ")));
        }
        Some(_) => {}
        None => found.add(Rule::RightEnd, "nobody knows what was asked for"),
    }
    let shown = state_of(&record.snapshot);
    if shown != state {
        found.add(Rule::RightEnd, format!("the database says {state}, GetTask {shown:?}"));
    }
    if stored.runs > 0 && (is_terminal(state) || parked) {
        found.add(Rule::NoRunLeft, format!("it is {state} and has {} rows in runs", stored.runs));
    }
    let wanted = i64::from(state == "failed");
    if stored.dead_letters != wanted {
        found.add(
            Rule::DeadLetters,
            format!("it is {state} and has {} dead letters", stored.dead_letters),
        );
    }
}

fn not_before(record: &TaskRecord, not_before: Option<i64>, found: &mut Found<'_>) {
    let Some(not_before) = not_before else { return };
    let early = record
        .signs
        .iter()
        .find(|sign| matches!(sign.what, What::Begun { .. }) && sign.at < not_before - ROUNDING);
    if let Some(sign) = early {
        let by = (not_before - sign.at) / 1_000;
        found.add(Rule::NotBefore, format!("run {} began {by} ms too early", sign.run));
    }
}
