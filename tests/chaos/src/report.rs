//! The report of a campaign, as text and as JSON.

use crate::{
    check::{Promise, Violation},
    figures::{DurationSamples, Figures},
    inject::InjectedFault,
    options::CampaignOptions,
    plan::PlannedFault,
    records::TaskRecord,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};

/// The report of a campaign.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The seed of the campaign.
    pub seed: u64,
    /// Injected faults.
    pub struck: Vec<InjectedFault>,
    /// Figures.
    pub figures: Figures,
    /// Broken promises; empty after a clean campaign.
    pub violations: Vec<Violation>,
    /// Log and journal of some tasks with violations.
    pub excerpts: Vec<String>,
}

impl Report {
    /// A report without violations.
    pub fn new(seed: u64, struck: Vec<InjectedFault>) -> Self {
        let figures = Figures::from_faults(&struck);
        Self { seed, struck, figures, violations: Vec::new(), excerpts: Vec::new() }
    }

    /// Adds a violation that concerns no single task.
    pub fn violation(&mut self, rule: Promise, what: String) {
        self.violations.push(Violation { task: String::new(), rule, what });
    }

    /// True when every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys")
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = self.figures.text();
        if self.is_clean() {
            let _ = writeln!(text, "verdict: every promise was kept (seed {})", self.seed);
            return text;
        }
        for excerpt in &self.excerpts {
            let _ = writeln!(text, "{excerpt}");
        }
        let mut by_rule: BTreeMap<Promise, Vec<&Violation>> = BTreeMap::new();
        for violation in &self.violations {
            by_rule.entry(violation.rule).or_default().push(violation);
        }
        for (rule, violations) in &by_rule {
            let _ = writeln!(text, "{rule:?}: {} violations", violations.len());
            for Violation { task, what, .. } in violations.iter().take(10) {
                let _ = writeln!(text, "  {task} {}", cut(what, 1_500));
            }
        }
        let count = self.violations.len();
        let _ = writeln!(text, "verdict: {count} violations (seed {})", self.seed);
        text
    }
}

impl Figures {
    /// The figures as text.
    fn text(&self) -> String {
        let mut text = String::new();
        let total: u64 = self.tasks.values().sum();
        let _ = writeln!(text, "tasks: {total} acknowledged, {} lost", self.lost);
        let _ = writeln!(text, "  by kind: {}", counts(&self.tasks));
        let _ = writeln!(text, "  by end: {}", counts(&self.ends));
        let _ =
            writeln!(text, "  accepted without their client being told: {}", self.unacknowledged);
        let faults: u64 = self.faults.values().sum();
        let _ = writeln!(text, "faults: {faults}\n  by kind: {}", counts(&self.faults));
        times(&mut text, "run again elsewhere after", &self.recoveries);
        times(
            &mut text,
            "the same with no other fault in the way, after",
            &self.undisturbed_recoveries,
        );
        let _ = writeln!(text, "cancel to executor: {}", self.cancels.sentence());
        let _ =
            writeln!(text, "  with no fault in the way: {}", self.undisturbed_cancels.sentence());
        for slow in &self.slowest {
            let _ = writeln!(text, "  slowest with no fault in the way: {}", slow.sentence());
        }
        let _ = writeln!(
            text,
            "executions: {}, {} of them again; effects of steps: {}, {} of them again",
            self.executions, self.repeated_executions, self.effects, self.repeated_effects
        );
        let _ = writeln!(
            text,
            "log: {} entries; subscribers: {} over {} connections, {} events; clients tried again {} times",
            self.entries,
            self.subscriptions,
            self.connections,
            self.events_seen,
            self.retries_of_clients
        );
        text
    }
}

fn times(text: &mut String, what: &str, times: &BTreeMap<String, DurationSamples>) {
    for (kind, times) in times {
        let _ = writeln!(text, "{what} {kind:<24} {}", times.sentence());
    }
}

fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
}

/// Prints the plan before the campaign starts.
pub fn print_plan(options: &CampaignOptions, faults: &[PlannedFault]) {
    println!(
        "seed {}, {:?} of load by {} clients, lease {:?}, {} faults:",
        options.plan.seed,
        options.plan.duration,
        options.clients,
        options.plan.lease,
        faults.len()
    );
    for fault in faults {
        println!("  {fault}");
    }
}

/// Formats log and journal of a task, one line per entry.
pub fn excerpt(record: &TaskRecord) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    if let Some(stored) = &record.stored {
        for entry in &stored.log {
            let run = entry.run().unwrap_or("-");
            let said =
                entry.state().map_or_else(|| cut(&entry.body.to_string(), 160), str::to_owned);
            lines.push((entry.at, format!("log {:>4} {} run {run} {said}", entry.seq, entry.kind)));
        }
        for (name, at) in &stored.checkpoints {
            lines.push((*at, format!("checkpoint {name}")));
        }
    }
    for action in &record.journal_entries {
        lines.push((
            action.at,
            format!("executor {} run {} {:?}", action.pid, action.run, action.what),
        ));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = format!("--- task {} {:?}\n", record.task, record.scenario());
    for (at, line) in lines.iter().take(80) {
        let _ = writeln!(text, "{:>6}.{:06} {line}", at / 1_000_000 % 1_000_000, at % 1_000_000);
    }
    text
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}
