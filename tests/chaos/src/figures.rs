//! Figures of a campaign.

use crate::{
    inject::InjectedFault,
    journal::{ExecutorAction, JournalEntry},
    records::TaskRecord,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// Time after the end of a fault during which its effects may last, in microseconds.
const FAULT_AFTERMATH_MICROS: i64 = 2_000_000;

/// Range in which the report looks for the fault before a slow sample, in microseconds.
const MAX_LOOKBACK_MICROS: i64 = 30_000_000;

/// Slow samples that the report explains.
const MAX_SLOWEST: usize = 8;

/// Figures of a campaign.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Acknowledged tasks by kind.
    pub tasks: BTreeMap<&'static str, u64>,
    /// Tasks by end state.
    pub ends: BTreeMap<String, u64>,
    /// Accepted tasks of which no client learned.
    pub unacknowledged: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Milliseconds until the runs of a faulty worker ran again, by kind of fault.
    pub recoveries: BTreeMap<String, DurationSamples>,
    /// Recoveries without another fault in between.
    pub undisturbed_recoveries: BTreeMap<String, DurationSamples>,
    /// Milliseconds from a cancel request to its executor.
    pub cancels: DurationSamples,
    /// Cancels without a fault in between.
    pub undisturbed_cancels: DurationSamples,
    /// The slowest undisturbed recoveries and cancels, slowest first.
    pub slowest: Vec<SlowSample>,
    /// Calls of the executor.
    pub executions: u64,
    /// Repeated calls of the executor for the same attempt and turn.
    pub repeated_executions: u64,
    /// Effects of steps.
    pub effects: u64,
    /// Repeated effects of the same step.
    pub repeated_effects: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// Events received by subscribers.
    pub events_seen: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Connections of subscribers.
    pub connections: u64,
    /// Retries of clients.
    pub retries_of_clients: u64,
    /// Acknowledged tasks that the database lacks.
    pub lost: u64,
}

/// Samples of a duration, in milliseconds.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(into = "DurationSummary")]
pub struct DurationSamples(Vec<i64>);

/// A slow recovery or cancel without a fault in between.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowSample {
    /// The fault, or `cancel`.
    pub kind: String,
    /// Milliseconds.
    pub took: i64,
    /// The task.
    pub task: String,
    /// The kind of the last fault that ended before it.
    pub before: Option<String>,
    /// Milliseconds since the end of that fault.
    pub after: Option<i64>,
}

impl SlowSample {
    /// `kill worker 4100 ms, 2300 ms after stop-fast postgres (task 0198…)`.
    pub fn sentence(&self) -> String {
        let before = match (&self.before, self.after) {
            (Some(before), Some(after)) => format!("{after} ms after {before}"),
            _ => "after no other fault".to_owned(),
        };
        format!("{} {} ms, {before} (task {})", self.kind, self.took, self.task)
    }
}

/// A summary of samples, in milliseconds.
#[derive(Debug, Serialize)]
struct DurationSummary {
    count: usize,
    p50: i64,
    p99: i64,
    max: i64,
}

impl From<DurationSamples> for DurationSummary {
    fn from(mut times: DurationSamples) -> Self {
        times.0.sort_unstable();
        let at = |percent: usize| {
            let index = (times.0.len() * percent).div_ceil(100).max(1) - 1;
            times.0.get(index).copied().unwrap_or(0)
        };
        Self { count: times.0.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl DurationSamples {
    fn add(&mut self, micros: i64) {
        self.0.push(micros / 1_000);
    }

    /// `12 times: p50 3 ms, p99 4 ms, max 5 ms`.
    pub fn sentence(&self) -> String {
        let DurationSummary { count, p50, p99, max } = self.clone().into();
        format!("{count:>5} times: p50 {p50:>6} ms, p99 {p99:>6} ms, max {max:>6} ms")
    }
}

impl Figures {
    /// Figures with these faults counted.
    pub fn from_faults(faults: &[InjectedFault]) -> Self {
        let mut figures = Self::default();
        for fault in faults {
            *figures.faults.entry(fault.kind.clone()).or_default() += 1;
        }
        figures
    }

    /// Counts a task.
    pub fn add(&mut self, record: &TaskRecord, faults: &[InjectedFault]) {
        match &record.client_view {
            Some(client_view) => {
                *self.tasks.entry(client_view.scenario.kind.name()).or_default() += 1;
                self.subscriptions += client_view.subscriptions.len() as u64;
                for subscription in &client_view.subscriptions {
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
        self.count_actions(record);
        self.measure_cancels(record, faults);
        for fault in faults.iter().filter(|fault| fault.pid.is_some()) {
            self.measure_recovery(record, fault, faults);
        }
    }

    fn count_actions(&mut self, record: &TaskRecord) {
        let (mut attempts, mut steps) = (HashSet::new(), HashSet::new());
        for action in &record.journal_entries {
            match &action.what {
                ExecutorAction::Started { attempt, turn } => {
                    self.executions += 1;
                    self.repeated_executions += u64::from(!attempts.insert((attempt, turn)));
                }
                ExecutorAction::Effect { step } => {
                    self.effects += 1;
                    self.repeated_effects += u64::from(!steps.insert(step));
                }
                _ => {}
            }
        }
    }

    fn measure_cancels(&mut self, record: &TaskRecord, faults: &[InjectedFault]) {
        for cancel in record.client_view.iter().flat_map(|client_view| &client_view.cancels) {
            let seen = record
                .journal_entries
                .iter()
                .find(|action| action.what == ExecutorAction::CancelSeen);
            let Some(seen) = seen.filter(|_| cancel.at_first_try) else { continue };
            // Skip cancels that were requested before the run started.
            if !started(record).any(|run| run.run == seen.run && run.at < cancel.sent_at) {
                continue;
            }
            self.cancels.add(seen.at - cancel.sent_at);
            if !faults.iter().any(|fault| fault.overlaps(cancel.sent_at, seen.at)) {
                let took = seen.at - cancel.sent_at;
                self.undisturbed_cancels.add(took);
                self.add_slow("cancel", &seen.task, cancel.sent_at, took, faults);
            }
        }
    }

    /// Measures from the fault, or from the end of a run that was released, to the start of the
    /// next run.
    fn measure_recovery(
        &mut self,
        record: &TaskRecord,
        fault: &InjectedFault,
        faults: &[InjectedFault],
    ) {
        let running =
            started(record).filter(|run| Some(run.pid) == fault.pid && run.at < fault.from);
        let Some(run) = running.last() else { return };
        let Some(next) = started(record).find(|next| next.at > run.at && next.at > fault.from)
        else {
            return;
        };
        let end = record
            .journal_entries
            .iter()
            .find(|action| action.run == run.run && is_end(&action.what));
        let from = match end {
            Some(end) if end.at < fault.from => return,
            Some(JournalEntry { what: ExecutorAction::Returned { how }, at, .. })
                if how == "draining" =>
            {
                *at
            }
            Some(JournalEntry { what: ExecutorAction::Returned { how }, .. })
                if how == "lease-lost" =>
            {
                fault.from
            }
            Some(JournalEntry { what: ExecutorAction::Returned { .. }, at, .. })
                if *at < next.at =>
            {
                return;
            }
            _ => fault.from,
        };
        let took = (next.at - from).max(0);
        self.recoveries.entry(fault.kind.clone()).or_default().add(took);
        let is_other = |other: &&InjectedFault| other.from != fault.from || other.pid != fault.pid;
        if !faults.iter().filter(is_other).any(|other| other.overlaps(from, next.at)) {
            self.undisturbed_recoveries.entry(fault.kind.clone()).or_default().add(took);
            self.add_slow(&fault.kind, &next.task, from, took, faults);
        }
    }

    /// Adds a slow sample, with the fault before it.
    fn add_slow(&mut self, kind: &str, task: &str, from: i64, took: i64, faults: &[InjectedFault]) {
        let earlier =
            faults.iter().filter(|fault| fault.to < from && from - fault.to < MAX_LOOKBACK_MICROS);
        let last = earlier.max_by_key(|fault| fault.to);
        self.slowest.push(SlowSample {
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

impl InjectedFault {
    /// True when the fault may have had effects between `from` and `to`.
    fn overlaps(&self, from: i64, to: i64) -> bool {
        self.from <= to && from <= self.to + FAULT_AFTERMATH_MICROS
    }
}

fn started(record: &TaskRecord) -> impl Iterator<Item = &JournalEntry> {
    record
        .journal_entries
        .iter()
        .filter(|action| matches!(action.what, ExecutorAction::Started { .. }))
}

const fn is_end(what: &ExecutorAction) -> bool {
    matches!(what, ExecutorAction::Returned { .. } | ExecutorAction::Dropped)
}

#[cfg(test)]
mod tests {
    use super::{DurationSamples, DurationSummary, Figures, InjectedFault};
    use crate::{
        journal::{ExecutorAction, JournalEntry},
        records::TaskRecord,
    };

    fn action(run: &str, pid: u32, at: i64, what: ExecutorAction) -> JournalEntry {
        JournalEntry { at: at * 1_000, pid, run: run.to_owned(), task: "t".to_owned(), what }
    }

    const STARTED: ExecutorAction = ExecutorAction::Started { attempt: 1, turn: 1 };

    fn injected(pid: u32, from: i64, to: i64) -> InjectedFault {
        InjectedFault {
            kind: "kill worker".into(),
            pid: Some(pid),
            from: from * 1_000,
            to: to * 1_000,
        }
    }

    fn recoveries(journal_entries: Vec<JournalEntry>) -> Vec<i64> {
        let record = TaskRecord { journal_entries, ..TaskRecord::default() };
        let mut figures = Figures::default();
        figures.add(&record, &[injected(1, 100, 200)]);
        figures.recoveries.remove("kill worker").map(|times| times.0).unwrap_or_default()
    }

    #[test]
    fn a_recovery_lasts_from_the_fault_to_the_next_run() {
        let next = action("b", 2, 900, STARTED);
        assert_eq!(recoveries(vec![action("a", 1, 50, STARTED), next.clone()]), [800]);
        assert_eq!(
            recoveries(vec![action("a", 3, 50, STARTED), next.clone()]),
            [0; 0],
            "elsewhere"
        );
        let done = action("a", 1, 90, ExecutorAction::Returned { how: "completed".into() });
        assert_eq!(
            recoveries(vec![action("a", 1, 50, STARTED), done, next.clone()]),
            [0; 0],
            "ended before"
        );
        let released = action("a", 1, 700, ExecutorAction::Returned { how: "draining".into() });
        assert_eq!(recoveries(vec![action("a", 1, 50, STARTED), released, next]), [200]);
    }

    #[test]
    fn percentiles_are_taken_from_sorted_samples() {
        let summary: DurationSummary = DurationSamples((1..=100).rev().collect()).into();
        assert_eq!((summary.p50, summary.p99, summary.max), (50, 99, 100));
        let summary: DurationSummary = DurationSamples(vec![7]).into();
        assert_eq!((summary.p50, summary.p99, summary.max), (7, 7, 7));
    }
}
