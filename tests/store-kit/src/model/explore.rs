//! Breadth-first exploration of all reachable states, each once, so that a counterexample is as
//! short as possible.

use super::{
    disabled::DisabledRule,
    invariants::violated,
    violation::InvariantViolation,
    world::{Action, ModelWorld},
};
use std::{collections::HashMap, fmt};

/// Result of an exploration.
#[derive(Debug)]
pub struct Explored {
    pub states: usize,
    pub steps: usize,
    pub counterexample: Option<Counterexample>,
}

/// A violation and a shortest trace to it.
#[derive(Debug)]
pub struct Counterexample {
    pub violation: InvariantViolation,
    pub trace: Vec<Action>,
    pub state: ModelWorld,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} after {} steps:", self.violation, self.trace.len())?;
        for action in &self.trace {
            writeln!(f, "  {action:?}")?;
        }
        write!(f, "{:#?}", self.state.record)
    }
}

struct Search {
    /// Reached states, in the order of discovery.
    states: Vec<ModelWorld>,
    /// Predecessor and action of each state.
    ways: Vec<(u32, Option<Action>)>,
    numbers: HashMap<ModelWorld, u32>,
    steps: Vec<(u32, u32)>,
}

/// Explores all reachable states until one violates an invariant; then checks that a task can still
/// end or park from each of them.
pub fn explore(from: ModelWorld, disabled: Option<DisabledRule>) -> Explored {
    let mut search =
        Search { states: Vec::new(), ways: Vec::new(), numbers: HashMap::new(), steps: Vec::new() };
    search.reach(from, 0, None);
    let mut at = 0;
    let mut counterexample = None;
    while counterexample.is_none() && at < search.states.len() {
        let state = search.states[at];
        counterexample = violated(&state).map(|violation| search.counterexample(violation, at));
        if counterexample.is_none() {
            for action in state.actions(disabled) {
                search.reach(state.after(action, disabled), at, Some(action));
            }
        }
        at += 1;
    }
    let counterexample = counterexample.or_else(|| {
        search.dead_end().map(|at| search.counterexample(InvariantViolation::Stuck, at))
    });
    Explored { states: search.states.len(), steps: search.steps.len(), counterexample }
}

impl Search {
    fn reach(&mut self, state: ModelWorld, from: usize, action: Option<Action>) {
        let from = u32::try_from(from).expect("states are counted in 32 bits");
        let new = u32::try_from(self.states.len()).expect("states are counted in 32 bits");
        let number = *self.numbers.entry(state).or_insert(new);
        if number == new {
            self.states.push(state);
            self.ways.push((from, action));
        }
        self.steps.push((from, number));
    }

    fn counterexample(&self, violation: InvariantViolation, at: usize) -> Counterexample {
        let mut trace = Vec::new();
        let mut here = at;
        while let (from, Some(action)) = self.ways[here] {
            trace.push(action);
            here = from as usize;
        }
        trace.reverse();
        Counterexample { violation, trace, state: self.states[at] }
    }

    /// Finds a state from which no path leads to an end or a park.
    fn dead_end(&self) -> Option<usize> {
        let mut backwards = self.steps.clone();
        backwards.sort_unstable_by_key(|(_, to)| *to);
        let rests =
            |world: &ModelWorld| world.record.state.is_terminal() || world.record.state.is_parked();
        let mut good: Vec<bool> = self.states.iter().map(rests).collect();
        let mut todo: Vec<usize> = (0..good.len()).filter(|at| good[*at]).collect();
        while let Some(at) = todo.pop() {
            let first = backwards.partition_point(|(_, to)| (*to as usize) < at);
            let into = backwards[first..].iter().take_while(|(_, to)| *to as usize == at);
            for from in into.map(|(from, _)| *from as usize) {
                if !std::mem::replace(&mut good[from], true) {
                    todo.push(from);
                }
            }
        }
        good.iter().position(|good| !good)
    }
}
