//! End states: every acknowledged task exists and has ended or is parked, as its scenario demands.

use super::violation::{Promise, ViolationList};
use crate::{
    journal::ExecutorAction,
    records::{StoredTask, TaskRecord, is_terminal, state_of},
};

/// Tolerance for an early start, because of rounding.
const ROUNDING_MICROS: i64 = 2_000;

pub(super) fn check(record: &TaskRecord, violations: &mut ViolationList<'_>) {
    if let Some(client_view) = &record.client_view {
        for complaint in &client_view.complaints {
            violations.add(Promise::Answers, complaint);
        }
        for other in &client_view.other_tasks {
            violations.add(
                Promise::OneTask,
                format!("the same message was also acknowledged as {other}"),
            );
        }
        if !client_view.done
            && record.stored.as_ref().is_some_and(|stored| is_terminal(&stored.state))
        {
            violations
                .add(Promise::Answers, "the task has ended, and its client was not told in time");
        }
        not_before(record, client_view.not_before, violations);
    }
    match &record.stored {
        None => violations
            .add(Promise::NotLost, "it was acknowledged, but the database has no such task"),
        Some(stored) => end(record, stored, violations),
    }
}

fn end(record: &TaskRecord, stored: &StoredTask, violations: &mut ViolationList<'_>) {
    let state = stored.state.as_str();
    let parked = matches!(state, "input-required" | "auth-required");
    match record.scenario() {
        _ if !is_terminal(state) && !parked => {
            violations.add(Promise::Ended, format!("it is still {state}"));
        }
        // A client that never learned of the task cannot have answered or canceled it.
        Some(scenario)
            if record.client_view.is_some() && !scenario.end_states().contains(&state) =>
        {
            violations.add(
                Promise::RightEnd,
                format!("it is {state}, not {}", scenario.end_states().join(" or ")),
            );
        }
        Some(_) => {}
        None => violations.add(Promise::RightEnd, "its scenario is unknown"),
    }
    let shown = state_of(&record.snapshot);
    if shown != state {
        violations.add(Promise::RightEnd, format!("the database says {state}, GetTask {shown:?}"));
    }
    if stored.runs > 0 && (is_terminal(state) || parked) {
        violations
            .add(Promise::NoRunLeft, format!("it is {state} and has {} rows in runs", stored.runs));
    }
    let wanted = i64::from(state == "failed");
    if stored.dead_letters != wanted {
        violations.add(
            Promise::DeadLetters,
            format!("it is {state} and has {} dead letters", stored.dead_letters),
        );
    }
}

fn not_before(record: &TaskRecord, not_before: Option<i64>, violations: &mut ViolationList<'_>) {
    let Some(not_before) = not_before else { return };
    let early = record.journal_entries.iter().find(|action| {
        matches!(action.what, ExecutorAction::Started { .. })
            && action.at < not_before - ROUNDING_MICROS
    });
    if let Some(action) = early {
        let by = (not_before - action.at) / 1_000;
        violations.add(Promise::NotBefore, format!("run {} began {by} ms too early", action.run));
    }
}
