//! What every part is given: the options, ways to start stacks, and what earlier parts of the run have found.

use crate::{
    options::Options,
    stack::{Mode, Plan, Stack},
};
use std::{collections::HashMap, sync::Mutex, time::Duration};

/// One run of the benchmark.
pub struct Bench {
    /// The command line.
    pub options: Options,
    peaks: Mutex<HashMap<Mode, f64>>,
    floors: Mutex<HashMap<(Mode, Commits), f64>>,
    stacks: Mutex<Vec<String>>,
}

/// How the floor shares commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Commits {
    /// Each step of each task has its own, one after the other.
    Each,
    /// A hundred tasks share them.
    Shared,
}

impl Bench {
    /// A run that has found nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            peaks: Mutex::default(),
            floors: Mutex::default(),
            stacks: Mutex::default(),
        }
    }

    /// The stacks to measure.
    pub fn modes(&self) -> &[Mode] {
        &self.options.mode
    }

    /// Whether this stack is to be measured.
    pub fn wants(&self, mode: Mode) -> bool {
        self.options.mode.contains(&mode)
    }

    /// How long each row is measured.
    pub const fn measured(&self) -> Duration {
        self.options.measured()
    }

    /// How long the load runs before it is measured.
    pub fn warm_up(&self) -> Duration {
        self.measured() / 5
    }

    /// The size of something: the smaller one when the run is a quick one.
    pub const fn size(&self, full: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { full }
    }

    /// A stack of one API node and one worker, or of the one process, to be changed and started.
    pub fn plan(&self, mode: Mode) -> Plan {
        let plan = Plan::new(mode);
        let plan = if self.options.statements { plan.statements() } else { plan };
        self.options.set.iter().fold(plan, |plan, setting| plan.set_line(setting))
    }

    /// Starts the usual stack.
    pub async fn start(&self, mode: Mode) -> Stack {
        let stack = self.plan(mode).start().await;
        self.note_stack(&stack);
        stack
    }

    /// Prints versions and settings of a stack, once, and keeps them for the result.
    pub fn note_stack(&self, stack: &Stack) {
        let versions = stack.versions();
        let mut stacks = self.stacks.lock().expect(HELD);
        if !stacks.contains(&versions) {
            println!("{versions}");
            stacks.push(versions);
        }
    }

    /// Versions and settings of the stacks that were measured.
    pub fn stacks(&self) -> Vec<String> {
        self.stacks.lock().expect(HELD).clone()
    }

    /// Remembers a rate of the closed loop, in tasks a second, when it is the highest yet.
    pub fn note_rate(&self, mode: Mode, rate: f64) {
        let mut peaks = self.peaks.lock().expect(HELD);
        let peak = peaks.entry(mode).or_default();
        *peak = peak.max(rate);
    }

    /// The highest rate of the closed loop that this run has measured, in tasks a second.
    pub fn peak(&self, mode: Mode) -> Option<f64> {
        self.peaks.lock().expect(HELD).get(&mode).copied()
    }

    /// Remembers what the machine can do at most, in tasks a second.
    pub fn note_floor(&self, mode: Mode, commits: Commits, rate: f64) {
        self.floors.lock().expect(HELD).insert((mode, commits), rate);
    }

    /// What the machine can do at most with so many connections, in tasks a second, when this run has measured it: one connection
    /// cannot share its commits with others.
    pub fn floor(&self, mode: Mode, connections: usize) -> Option<f64> {
        let commits = if connections == 1 { Commits::Each } else { Commits::Shared };
        self.floors.lock().expect(HELD).get(&(mode, commits)).copied()
    }
}

const HELD: &str = "nobody panics while holding it";
