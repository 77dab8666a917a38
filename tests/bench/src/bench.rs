//! One run of the benchmark: its options, its stacks, and results that later parts refer to.

use crate::{
    options::BenchOptions,
    stack::{BenchStack, StackMode, StackPlan},
};
use std::{collections::HashMap, sync::Mutex, time::Duration};

/// One run of the benchmark.
pub struct Bench {
    /// The command line.
    pub options: BenchOptions,
    peaks: Mutex<HashMap<StackMode, f64>>,
    floors: Mutex<HashMap<(StackMode, CommitSharing), f64>>,
    stacks: Mutex<Vec<String>>,
}

/// Sharing of commits in the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitSharing {
    /// Each step of each task has a commit of its own, one after the other.
    Each,
    /// A hundred tasks share a commit.
    Shared,
}

impl Bench {
    /// A run without results.
    pub fn new(options: BenchOptions) -> Self {
        Self {
            options,
            peaks: Mutex::default(),
            floors: Mutex::default(),
            stacks: Mutex::default(),
        }
    }

    /// The stacks to measure.
    pub fn modes(&self) -> &[StackMode] {
        &self.options.mode
    }

    /// True when this stack should be measured.
    pub fn wants(&self, mode: StackMode) -> bool {
        self.options.mode.contains(&mode)
    }

    /// Measured time of each row.
    pub const fn row_duration(&self) -> Duration {
        self.options.row_duration()
    }

    /// Time for which a load runs before it is measured.
    pub fn warm_up(&self) -> Duration {
        self.row_duration() / 5
    }

    /// A size: the smaller one in a quick run.
    pub const fn size(&self, full: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { full }
    }

    /// The plan of a stack with one API node and one worker, or of one embedded process.
    pub fn plan(&self, mode: StackMode) -> StackPlan {
        let plan = StackPlan::new(mode);
        let plan = if self.options.statements { plan.statements() } else { plan };
        self.options.set.iter().fold(plan, |plan, setting| plan.set_line(setting))
    }

    /// Starts the default stack.
    pub async fn start(&self, mode: StackMode) -> BenchStack {
        let stack = self.plan(mode).start().await;
        self.record_stack(&stack);
        stack
    }

    /// Prints versions and settings of a stack once, and keeps them for the report.
    pub fn record_stack(&self, stack: &BenchStack) {
        let versions = stack.versions();
        let mut stacks = self.stacks.lock().expect(LOCK_NOT_POISONED);
        if !stacks.contains(&versions) {
            println!("{versions}");
            stacks.push(versions);
        }
    }

    /// Versions and settings of all measured stacks.
    pub fn stacks(&self) -> Vec<String> {
        self.stacks.lock().expect(LOCK_NOT_POISONED).clone()
    }

    /// Records a rate of the closed loop, in tasks per second, if it is the highest so far.
    pub fn record_rate(&self, mode: StackMode, rate: f64) {
        let mut peaks = self.peaks.lock().expect(LOCK_NOT_POISONED);
        let peak = peaks.entry(mode).or_default();
        *peak = peak.max(rate);
    }

    /// The highest rate of the closed loop in this run, in tasks per second.
    pub fn peak(&self, mode: StackMode) -> Option<f64> {
        self.peaks.lock().expect(LOCK_NOT_POISONED).get(&mode).copied()
    }

    /// Records the maximum of the machine itself, in tasks per second.
    pub fn record_floor(&self, mode: StackMode, commits: CommitSharing, rate: f64) {
        self.floors.lock().expect(LOCK_NOT_POISONED).insert((mode, commits), rate);
    }

    /// The maximum of the machine itself, in tasks per second, if this run has measured it. A
    /// single connection cannot share commits.
    pub fn floor(&self, mode: StackMode, connections: usize) -> Option<f64> {
        let commits = if connections == 1 { CommitSharing::Each } else { CommitSharing::Shared };
        self.floors.lock().expect(LOCK_NOT_POISONED).get(&(mode, commits)).copied()
    }
}

const LOCK_NOT_POISONED: &str = "no panic while the lock is held";
