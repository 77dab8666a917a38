//! Steps: a committed step is not executed again, and a completed task has every effect.
//!
//! A run that started before the commit may repeat the effect unknowingly, such as one that was
//! frozen within the step; it cannot commit it. A run that started after the commit reads the
//! checkpoint.

use super::violation::{Promise, ViolationList};
use crate::{
    journal::ExecutorAction,
    records::{StoredTask, TaskRecord},
    scenario::ScenarioKind,
};
use std::collections::{BTreeSet, HashMap};

/// Tolerance for times of the database, which are rounded down to milliseconds.
const ROUNDING_MICROS: i64 = 1_000;

pub(super) fn check(stored: &StoredTask, record: &TaskRecord, violations: &mut ViolationList<'_>) {
    let mut started: HashMap<&str, i64> = HashMap::new();
    let mut done: BTreeSet<(&str, &str)> = BTreeSet::new();
    for action in &record.journal_entries {
        match &action.what {
            ExecutorAction::Started { .. } => {
                started.insert(&action.run, action.at);
            }
            ExecutorAction::Effect { step } => {
                if !done.insert((step, &action.run)) {
                    violations
                        .add(Promise::StepOnce, format!("run {} did {step} twice", action.run));
                }
                let committed = stored.checkpoints.iter().find(|(name, _)| name == step);
                let run = started.get(action.run.as_str()).copied().unwrap_or(action.at);
                if let Some((_, at)) = committed.filter(|(_, at)| run > *at + ROUNDING_MICROS) {
                    let late = (run - at) / 1_000;
                    violations.add(
                        Promise::StepOnce,
                        format!(
                            "run {} began {late} ms after {step} was committed and did it again",
                            action.run
                        ),
                    );
                }
            }
            _ => {}
        }
    }
    let scenario = record.scenario().filter(|scenario| scenario.kind == ScenarioKind::Checkpointed);
    let Some(scenario) = scenario.filter(|_| stored.state == "completed") else { return };
    for number in 1..=scenario.count {
        let step = step_name(number);
        if !done.iter().any(|(name, _)| *name == step) {
            violations
                .add(Promise::StepDone, format!("it is completed without the effect of {step}"));
        }
        if !stored.checkpoints.iter().any(|(name, _)| *name == step) {
            violations
                .add(Promise::StepDone, format!("it is completed without the checkpoint {step}"));
        }
    }
}

/// The name of a step, counted from 1.
pub fn step_name(number: u64) -> String {
    format!("step-{number}")
}
