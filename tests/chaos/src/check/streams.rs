//! Every subscriber saw exactly the log, and folding what it saw gives the snapshot.

use super::{Found, Rule};
use crate::{
    fold::Folded,
    records::{Event, Stored, Subscription, TaskRecord},
};
use serde_json::Value;

pub(super) fn check(stored: &Stored, record: &TaskRecord, found: &mut Found<'_>) {
    let logged: Vec<i64> =
        stored.log.iter().filter(|entry| entry.is_event()).map(|entry| entry.seq).collect();
    let replayed: Vec<i64> = record.replayed.iter().map(|event| event.seq).collect();
    if logged != replayed {
        found.add(Rule::ExactStream, format!("replayed {}", difference(&replayed, &logged)));
        return;
    }
    let events: Vec<(i64, Value)> =
        record.replayed.iter().map(|event| (event.seq, event.json())).collect();
    match fold(Folded::new(), events.iter().map(|(_, event)| event)) {
        Ok(folded) => compare("the log", &folded, &record.snapshot, found),
        Err(error) => found.add(Rule::Fold, error),
    }
    for subscription in record.told.iter().flat_map(|told| &told.subscriptions) {
        of(subscription, &events, &record.snapshot, found);
    }
}

fn of(subscription: &Subscription, log: &[(i64, Value)], snapshot: &Value, found: &mut Found<'_>) {
    let Subscription { name, snapshot: first, events, complete, .. } = subscription;
    let from = first.as_ref().map_or(0, |(seq, _)| *seq);
    if let Some((seq, first)) = first {
        begins_right(name, *seq, first, log, found);
    }
    let mut wanted: Vec<&(i64, Value)> = log.iter().filter(|(seq, _)| *seq > from).collect();
    if !complete {
        // It was cut, or left: what it saw is the beginning.
        wanted.truncate(events.len());
    }
    let seen: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let expected: Vec<i64> = wanted.iter().map(|(seq, _)| *seq).collect();
    if seen != expected {
        let difference = difference(&seen, &expected);
        found.add(Rule::ExactStream, format!("{name} behind {from} saw {difference}"));
        return;
    }
    let seen: Vec<Value> = events.iter().map(Event::json).collect();
    if let Some((event, (seq, logged))) = seen.iter().zip(&wanted).find(|(one, two)| **one != two.1)
    {
        found.add(Rule::ExactStream, format!("{name} saw event {seq} as {event}, not {logged}"));
        return;
    }
    if let (true, Some((_, first))) = (complete, first) {
        match fold(Folded::of(first), seen.iter()) {
            Ok(folded) => compare(name, &folded, snapshot, found),
            Err(error) => found.add(Rule::Fold, format!("{name}: {error}")),
        }
    }
}

/// A snapshot shows the task as the events up to its cursor make it.
fn begins_right(name: &str, seq: i64, first: &Value, log: &[(i64, Value)], found: &mut Found<'_>) {
    let before = log.iter().filter(|(at, _)| *at <= seq).map(|(_, event)| event);
    let shown = Folded::of(first);
    match fold(Folded::new(), before) {
        Ok(folded) => {
            let state = folded.status["state"] != shown.status["state"];
            let message = folded.status["message"] != shown.status["message"];
            let artifacts = folded.artifacts_differ(&shown);
            if state || message || artifacts.is_some() {
                let status = format!("{} against {}", folded.status, shown.status);
                found.add(
                    Rule::Fold,
                    format!("{name}'s snapshot at {seq}: {}", artifacts.unwrap_or(status)),
                );
            }
        }
        Err(error) => found.add(Rule::Fold, format!("{name}'s snapshot at {seq}: {error}")),
    }
}

fn fold<'a>(mut task: Folded, events: impl Iterator<Item = &'a Value>) -> Result<Folded, String> {
    for event in events {
        task.apply(event)?;
    }
    Ok(task)
}

fn compare(name: &str, folded: &Folded, snapshot: &Value, found: &mut Found<'_>) {
    let mut shown = Folded::of(snapshot);
    if folded.status.get("timestamp").is_none() {
        // Nothing has happened yet.
        shown.status = folded.status.clone();
    }
    if let Some(difference) = folded.differs(&shown) {
        found.add(Rule::Fold, format!("{name}: {difference}"));
    }
}

/// How two lists of places differ.
fn difference(seen: &[i64], wanted: &[i64]) -> String {
    let at = seen.iter().zip(wanted).take_while(|(one, two)| one == two).count();
    let near = |list: &[i64]| {
        let from = at.saturating_sub(2);
        format!("{:?}", list.iter().skip(from).take(6).collect::<Vec<_>>())
    };
    format!(
        "{} events, not {}; from place {} on {} and not {}",
        seen.len(),
        wanted.len(),
        at.saturating_sub(2),
        near(seen),
        near(wanted)
    )
}
