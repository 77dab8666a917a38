//! Steps: what was committed is not done again, and a completed task has every effect.
//!
//! A run that began before the commit may repeat the effect without knowing better: one that was frozen in the middle of the
//! step, for example. It cannot commit it. A run that began behind the commit reads the checkpoint first.

use super::{Found, Rule};
use crate::{
    journal::What,
    kind::Kind,
    records::{Stored, TaskRecord},
};
use std::collections::{BTreeSet, HashMap};

/// The database rounds its moments down to milliseconds.
const ROUNDING: i64 = 1_000;

pub(super) fn check(stored: &Stored, record: &TaskRecord, found: &mut Found<'_>) {
    let mut begun: HashMap<&str, i64> = HashMap::new();
    let mut done: BTreeSet<(&str, &str)> = BTreeSet::new();
    for sign in &record.signs {
        match &sign.what {
            What::Begun { .. } => {
                begun.insert(&sign.run, sign.at);
            }
            What::Effect { step } => {
                if !done.insert((step, &sign.run)) {
                    found.add(Rule::StepOnce, format!("run {} did {step} twice", sign.run));
                }
                let committed = stored.checkpoints.iter().find(|(name, _)| name == step);
                let run = begun.get(sign.run.as_str()).copied().unwrap_or(sign.at);
                if let Some((_, at)) = committed.filter(|(_, at)| run > *at + ROUNDING) {
                    let late = (run - at) / 1_000;
                    found.add(
                        Rule::StepOnce,
                        format!(
                            "run {} began {late} ms after {step} was committed and did it again",
                            sign.run
                        ),
                    );
                }
            }
            _ => {}
        }
    }
    let order = record.order().filter(|order| order.kind == Kind::Checkpointed);
    let Some(order) = order.filter(|_| stored.state == "completed") else { return };
    for number in 1..=order.count {
        let step = step_name(number);
        if !done.iter().any(|(name, _)| *name == step) {
            found.add(Rule::StepDone, format!("it is completed without the effect of {step}"));
        }
        if !stored.checkpoints.iter().any(|(name, _)| *name == step) {
            found.add(Rule::StepDone, format!("it is completed without the checkpoint {step}"));
        }
    }
}

/// The name of a step, from 1.
pub fn step_name(number: u64) -> String {
    format!("step-{number}")
}
