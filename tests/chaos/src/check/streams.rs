//! Streams: every subscriber saw exactly the log, and folding its events gives the snapshot.

use super::violation::{Promise, ViolationList};
use crate::{
    fold::FoldedTask,
    records::{StoredTask, StreamEvent, Subscription, TaskRecord},
};
use serde_json::Value;

pub(super) fn check(stored: &StoredTask, record: &TaskRecord, violations: &mut ViolationList<'_>) {
    let logged: Vec<i64> =
        stored.log.iter().filter(|entry| entry.is_event()).map(|entry| entry.seq).collect();
    let replayed: Vec<i64> = record.replayed.iter().map(|event| event.seq).collect();
    if logged != replayed {
        violations
            .add(Promise::ExactStream, format!("replayed {}", difference(&replayed, &logged)));
        return;
    }
    let events: Vec<(i64, Value)> =
        record.replayed.iter().map(|event| (event.seq, event.json())).collect();
    match fold(FoldedTask::new(), events.iter().map(|(_, event)| event)) {
        Ok(folded) => compare("the log", &folded, &record.snapshot, violations),
        Err(error) => violations.add(Promise::Fold, error),
    }
    for subscription in record.client_view.iter().flat_map(|client_view| &client_view.subscriptions)
    {
        check_subscription(subscription, &events, &record.snapshot, violations);
    }
}

fn check_subscription(
    subscription: &Subscription,
    log: &[(i64, Value)],
    snapshot: &Value,
    violations: &mut ViolationList<'_>,
) {
    let Subscription { name, snapshot: first, events, complete, .. } = subscription;
    let from = first.as_ref().map_or(0, |(seq, _)| *seq);
    if let Some((seq, first)) = first {
        check_first_snapshot(name, *seq, first, log, violations);
    }
    let mut wanted: Vec<&(i64, Value)> = log.iter().filter(|(seq, _)| *seq > from).collect();
    if !complete {
        // The stream was cut or left early: its events are a prefix.
        wanted.truncate(events.len());
    }
    let seen: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let expected: Vec<i64> = wanted.iter().map(|(seq, _)| *seq).collect();
    if seen != expected {
        let difference = difference(&seen, &expected);
        violations.add(Promise::ExactStream, format!("{name} behind {from} saw {difference}"));
        return;
    }
    let seen: Vec<Value> = events.iter().map(StreamEvent::json).collect();
    if let Some((event, (seq, logged))) = seen.iter().zip(&wanted).find(|(one, two)| **one != two.1)
    {
        violations
            .add(Promise::ExactStream, format!("{name} saw event {seq} as {event}, not {logged}"));
        return;
    }
    if let (true, Some((_, first))) = (complete, first) {
        match fold(FoldedTask::from_snapshot(first), seen.iter()) {
            Ok(folded) => compare(name, &folded, snapshot, violations),
            Err(error) => violations.add(Promise::Fold, format!("{name}: {error}")),
        }
    }
}

/// Checks that a stream's first snapshot equals the fold of the events up to its cursor.
fn check_first_snapshot(
    name: &str,
    seq: i64,
    first: &Value,
    log: &[(i64, Value)],
    violations: &mut ViolationList<'_>,
) {
    let before = log.iter().filter(|(at, _)| *at <= seq).map(|(_, event)| event);
    let shown = FoldedTask::from_snapshot(first);
    match fold(FoldedTask::new(), before) {
        Ok(folded) => {
            let state = folded.status["state"] != shown.status["state"];
            let message = folded.status["message"] != shown.status["message"];
            let artifacts = folded.artifact_difference(&shown);
            if state || message || artifacts.is_some() {
                let status = format!("{} against {}", folded.status, shown.status);
                violations.add(
                    Promise::Fold,
                    format!("{name}'s snapshot at {seq}: {}", artifacts.unwrap_or(status)),
                );
            }
        }
        Err(error) => violations.add(Promise::Fold, format!("{name}'s snapshot at {seq}: {error}")),
    }
}

fn fold<'a>(
    mut task: FoldedTask,
    events: impl Iterator<Item = &'a Value>,
) -> Result<FoldedTask, String> {
    for event in events {
        task.apply(event)?;
    }
    Ok(task)
}

fn compare(name: &str, folded: &FoldedTask, snapshot: &Value, violations: &mut ViolationList<'_>) {
    let mut shown = FoldedTask::from_snapshot(snapshot);
    if folded.status.get("timestamp").is_none() {
        // No status event so far: the snapshot's timestamp has no counterpart.
        shown.status = folded.status.clone();
    }
    if let Some(difference) = folded.difference(&shown) {
        violations.add(Promise::Fold, format!("{name}: {difference}"));
    }
}

/// The difference of two lists of sequence numbers.
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
