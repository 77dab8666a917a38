//! What a run amounts to in numbers.

use crate::{
    journal::{Sign, What},
    records::TaskRecord,
    strike::Struck,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// How long a fault may still be felt after it was taken back, in microseconds.
const AFTERMATH: i64 = 2_000_000;

/// How far back the report looks for faults that came before a slow one, in microseconds.
const LOOKBACK: i64 = 30_000_000;

/// Number of slow ones that the report explains.
const MAX_SLOWEST: usize = 8;

/// Everything that is counted.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Acknowledged tasks by kind.
    pub tasks: BTreeMap<&'static str, u64>,
    /// How tasks ended.
    pub ends: BTreeMap<String, u64>,
    /// Tasks of which no client was told.
    pub unacknowledged: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Milliseconds until the runs of a struck worker ran again, by kind of fault.
    pub recoveries: BTreeMap<String, Times>,
    /// The same, where no other fault was in the way.
    pub undisturbed_recoveries: BTreeMap<String, Times>,
    /// Milliseconds from a cancel to the executor.
    pub cancels: Times,
    /// The same, where no fault was in the way.
    pub undisturbed_cancels: Times,
    /// The slowest undisturbed recoveries and cancels, the slowest first.
    pub slowest: Vec<Slow>,
    /// Calls of the executor.
    pub executions: u64,
    /// Calls of the executor for an attempt of a turn that had been begun before.
    pub repeated_executions: u64,
    /// Effects of steps.
    pub effects: u64,
    /// Effects of a step that had been done before.
    pub repeated_effects: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// Events that subscribers have seen.
    pub events_seen: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Connections that they took.
    pub connections: u64,
    /// What clients had to try again.
    pub retries_of_clients: u64,
    /// Acknowledged tasks that are not there.
    pub lost: u64,
}

/// Lengths of time in milliseconds.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(into = "Summary")]
pub struct Times(Vec<i64>);

/// A recovery or a cancel that took long although no fault was in its way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slow {
    /// The fault, or `cancel`.
    pub kind: String,
    /// Milliseconds.
    pub took: i64,
    /// The task.
    pub task: String,
    /// The fault before it that was taken back last.
    pub before: Option<String>,
    /// Milliseconds from the end of that one.
    pub after: Option<i64>,
}

impl Slow {
    /// `kill worker 4100 ms, 2300 ms after stop-fast postgres (task 0198…)`.
    pub fn sentence(&self) -> String {
        let before = match (&self.before, self.after) {
            (Some(before), Some(after)) => format!("{after} ms after {before}"),
            _ => "after no other fault".to_owned(),
        };
        format!("{} {} ms, {before} (task {})", self.kind, self.took, self.task)
    }
}

/// What is said of lengths of time.
#[derive(Debug, Serialize)]
struct Summary {
    count: usize,
    p50: i64,
    p99: i64,
    max: i64,
}

impl From<Times> for Summary {
    fn from(mut times: Times) -> Self {
        times.0.sort_unstable();
        let at = |percent: usize| {
            let place = (times.0.len() * percent).div_ceil(100).max(1) - 1;
            times.0.get(place).copied().unwrap_or(0)
        };
        Self { count: times.0.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl Times {
    fn add(&mut self, micros: i64) {
        self.0.push(micros / 1_000);
    }

    /// `12 times: p50 3 ms, p99 4 ms, max 5 ms`.
    pub fn sentence(&self) -> String {
        let Summary { count, p50, p99, max } = self.clone().into();
        format!("{count:>5} times: p50 {p50:>6} ms, p99 {p99:>6} ms, max {max:>6} ms")
    }
}

impl Figures {
    /// Counts the faults.
    pub fn of(struck: &[Struck]) -> Self {
        let mut figures = Self::default();
        for fault in struck {
            *figures.faults.entry(fault.kind.clone()).or_default() += 1;
        }
        figures
    }

    /// Counts a task.
    pub fn add(&mut self, record: &TaskRecord, struck: &[Struck]) {
        match &record.told {
            Some(told) => {
                *self.tasks.entry(told.order.kind.name()).or_default() += 1;
                self.subscriptions += told.subscriptions.len() as u64;
                for subscription in &told.subscriptions {
                    self.connections += u64::from(subscription.connections);
                    self.events_seen += subscription.events.len() as u64;
                }
            }
            None => self.unacknowledged += 1,
        }
        match &record.stored {
            Some(stored) => {
                *self.ends.entry(stored.state.clone()).or_default() += 1;
                self.entries += stored.log.len() as u64;
            }
            None => self.lost += 1,
        }
        self.count_signs(record);
        self.measure_cancels(record, struck);
        for fault in struck.iter().filter(|fault| fault.pid.is_some()) {
            self.measure_recovery(record, fault, struck);
        }
    }

    fn count_signs(&mut self, record: &TaskRecord) {
        let (mut attempts, mut steps) = (HashSet::new(), HashSet::new());
        for sign in &record.signs {
            match &sign.what {
                What::Begun { attempt, turn } => {
                    self.executions += 1;
                    self.repeated_executions += u64::from(!attempts.insert((attempt, turn)));
                }
                What::Effect { step } => {
                    self.effects += 1;
                    self.repeated_effects += u64::from(!steps.insert(step));
                }
                _ => {}
            }
        }
    }

    fn measure_cancels(&mut self, record: &TaskRecord, struck: &[Struck]) {
        for cancel in record.told.iter().flat_map(|told| &told.cancels) {
            let seen = record.signs.iter().find(|sign| sign.what == What::CancelSeen);
            let Some(seen) = seen.filter(|_| cancel.at_first_try) else { continue };
            // Only what ran already can see it.
            if !begun(record).any(|run| run.run == seen.run && run.at < cancel.sent_at) {
                continue;
            }
            self.cancels.add(seen.at - cancel.sent_at);
            if !struck.iter().any(|fault| fault.felt(cancel.sent_at, seen.at)) {
                let took = seen.at - cancel.sent_at;
                self.undisturbed_cancels.add(took);
                self.explain("cancel", &seen.task, cancel.sent_at, took, struck);
            }
        }
    }

    /// From the blow (or from the end of a run that was given back) to the beginning of the next run.
    fn measure_recovery(&mut self, record: &TaskRecord, fault: &Struck, struck: &[Struck]) {
        let there = begun(record).filter(|run| Some(run.pid) == fault.pid && run.at < fault.from);
        let Some(run) = there.last() else { return };
        let Some(next) = begun(record).find(|next| next.at > run.at && next.at > fault.from) else {
            return;
        };
        let end = record.signs.iter().find(|sign| sign.run == run.run && is_end(&sign.what));
        let from = match end {
            Some(end) if end.at < fault.from => return,
            Some(Sign { what: What::Returned { how }, at, .. }) if how == "draining" => *at,
            Some(Sign { what: What::Returned { how }, .. }) if how == "lease-lost" => fault.from,
            Some(Sign { what: What::Returned { .. }, at, .. }) if *at < next.at => return,
            _ => fault.from,
        };
        let took = (next.at - from).max(0);
        self.recoveries.entry(fault.kind.clone()).or_default().add(took);
        let alone = |other: &&Struck| other.from != fault.from || other.pid != fault.pid;
        if !struck.iter().filter(alone).any(|other| other.felt(from, next.at)) {
            self.undisturbed_recoveries.entry(fault.kind.clone()).or_default().add(took);
            self.explain(&fault.kind, &next.task, from, took, struck);
        }
    }

    /// Keeps one of the slowest, with the fault that came before it.
    fn explain(&mut self, kind: &str, task: &str, from: i64, took: i64, struck: &[Struck]) {
        let earlier = struck.iter().filter(|fault| fault.to < from && from - fault.to < LOOKBACK);
        let last = earlier.max_by_key(|fault| fault.to);
        self.slowest.push(Slow {
            kind: kind.to_owned(),
            took: took / 1_000,
            task: task.to_owned(),
            before: last.map(|fault| fault.kind.clone()),
            after: last.map(|fault| (from - fault.to) / 1_000),
        });
        self.slowest.sort_by_key(|slow| std::cmp::Reverse(slow.took));
        self.slowest.truncate(MAX_SLOWEST);
    }
}

impl Struck {
    /// Whether it may have been felt in a time.
    fn felt(&self, from: i64, to: i64) -> bool {
        self.from <= to && from <= self.to + AFTERMATH
    }
}

fn begun(record: &TaskRecord) -> impl Iterator<Item = &Sign> {
    record.signs.iter().filter(|sign| matches!(sign.what, What::Begun { .. }))
}

const fn is_end(what: &What) -> bool {
    matches!(what, What::Returned { .. } | What::Dropped)
}

#[cfg(test)]
mod tests {
    use super::{Figures, Struck, Summary, Times};
    use crate::{
        journal::{Sign, What},
        records::TaskRecord,
    };

    fn sign(run: &str, pid: u32, at: i64, what: What) -> Sign {
        Sign { at: at * 1_000, pid, run: run.to_owned(), task: "t".to_owned(), what }
    }

    const BEGUN: What = What::Begun { attempt: 1, turn: 1 };

    fn struck(pid: u32, from: i64, to: i64) -> Struck {
        Struck { kind: "kill worker".into(), pid: Some(pid), from: from * 1_000, to: to * 1_000 }
    }

    fn recoveries(signs: Vec<Sign>) -> Vec<i64> {
        let record = TaskRecord { signs, ..TaskRecord::default() };
        let mut figures = Figures::default();
        figures.add(&record, &[struck(1, 100, 200)]);
        figures.recoveries.remove("kill worker").map(|times| times.0).unwrap_or_default()
    }

    #[test]
    fn a_recovery_is_from_the_blow_to_the_next_run() {
        let next = sign("b", 2, 900, BEGUN);
        assert_eq!(recoveries(vec![sign("a", 1, 50, BEGUN), next.clone()]), [800]);
        assert_eq!(recoveries(vec![sign("a", 3, 50, BEGUN), next.clone()]), [0; 0], "elsewhere");
        let done = sign("a", 1, 90, What::Returned { how: "completed".into() });
        assert_eq!(recoveries(vec![sign("a", 1, 50, BEGUN), done, next.clone()]), [0; 0], "over");
        let given = sign("a", 1, 700, What::Returned { how: "draining".into() });
        assert_eq!(recoveries(vec![sign("a", 1, 50, BEGUN), given, next]), [200]);
    }

    #[test]
    fn percentiles_are_of_the_sorted_list() {
        let summary: Summary = Times((1..=100).rev().collect()).into();
        assert_eq!((summary.p50, summary.p99, summary.max), (50, 99, 100));
        let summary: Summary = Times(vec![7]).into();
        assert_eq!((summary.p50, summary.p99, summary.max), (7, 7, 7));
    }
}
