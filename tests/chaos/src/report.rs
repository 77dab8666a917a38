//! What is printed, and what is written as JSON.

use crate::{
    campaign::Options,
    check::{Rule, Violation},
    figures::{Figures, Times},
    plan::Fault,
    records::TaskRecord,
    strike::Struck,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};

/// What came of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was done, in microseconds since 1970.
    pub struck: Vec<Struck>,
    /// The numbers.
    pub figures: Figures,
    /// What was not kept. Empty is what is wanted.
    pub violations: Vec<Violation>,
    /// Log and journal of some of the tasks in question.
    pub excerpts: Vec<String>,
}

impl Report {
    /// Without violations yet.
    pub fn new(seed: u64, struck: Vec<Struck>) -> Self {
        let figures = Figures::of(&struck);
        Self { seed, struck, figures, violations: Vec::new(), excerpts: Vec::new() }
    }

    /// Adds a violation that is about no task.
    pub fn violation(&mut self, rule: Rule, what: String) {
        self.violations.push(Violation { task: String::new(), rule, what });
    }

    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys")
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = self.figures.text();
        if self.is_clean() {
            let _ = writeln!(text, "verdict: every promise was kept (seed {})", self.seed);
            return text;
        }
        for excerpt in &self.excerpts {
            let _ = writeln!(text, "{excerpt}");
        }
        let mut by_rule: BTreeMap<Rule, Vec<&Violation>> = BTreeMap::new();
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
    /// The figures for people.
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

fn times(text: &mut String, what: &str, times: &BTreeMap<String, Times>) {
    for (kind, times) in times {
        let _ = writeln!(text, "{what} {kind:<24} {}", times.sentence());
    }
}

fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
}

/// Says beforehand what will happen.
pub fn print_plan(options: &Options, faults: &[Fault]) {
    println!(
        "seed {}, {:?} of load by {} clients, lease {:?}, {} faults:",
        options.rules.seed,
        options.rules.duration,
        options.clients,
        options.rules.lease,
        faults.len()
    );
    for fault in faults {
        println!("  {fault}");
    }
}

/// Log and journal of a task, a line each.
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
    for sign in &record.signs {
        lines.push((sign.at, format!("executor {} run {} {:?}", sign.pid, sign.run, sign.what)));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = format!("--- task {} {:?}\n", record.task, record.order());
    for (at, line) in lines.iter().take(80) {
        let _ = writeln!(text, "{:>6}.{:06} {line}", at / 1_000_000 % 1_000_000, at % 1_000_000);
    }
    text
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}
