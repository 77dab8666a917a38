//! Breadth first through every state that can be reached, each once: what is found is found on a shortest way.

use super::{
    broken::Broken,
    world::{Action, World},
    wrong::{Wrong, wrong},
};
use std::{collections::HashMap, fmt};

/// What exploring came to.
#[derive(Debug)]
pub struct Explored {
    pub states: usize,
    pub steps: usize,
    pub found: Option<Found>,
}

/// What is wrong, and a shortest way there.
#[derive(Debug)]
pub struct Found {
    pub wrong: Wrong,
    pub trace: Vec<Action>,
    pub state: World,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} after {} steps:", self.wrong, self.trace.len())?;
        for action in &self.trace {
            writeln!(f, "  {action:?}")?;
        }
        write!(f, "{:#?}", self.state.record)
    }
}

struct Search {
    /// Every state that was reached, by the order in which it was.
    states: Vec<World>,
    /// From where, and how.
    ways: Vec<(u32, Option<Action>)>,
    numbers: HashMap<World, u32>,
    steps: Vec<(u32, u32)>,
}

/// Looks at every state that can be reached from here, until one is wrong; then whether from each of them a task can
/// still end or park.
pub fn explore(from: World, broken: Option<Broken>) -> Explored {
    let mut search =
        Search { states: Vec::new(), ways: Vec::new(), numbers: HashMap::new(), steps: Vec::new() };
    search.reach(from, 0, None);
    let mut at = 0;
    let mut found = None;
    while found.is_none() && at < search.states.len() {
        let state = search.states[at];
        found = wrong(&state).map(|wrong| search.found(wrong, at));
        if found.is_none() {
            for action in state.actions(broken) {
                search.reach(state.after(action, broken), at, Some(action));
            }
        }
        at += 1;
    }
    let found = found.or_else(|| search.dead_end().map(|at| search.found(Wrong::Stuck, at)));
    Explored { states: search.states.len(), steps: search.steps.len(), found }
}

impl Search {
    fn reach(&mut self, state: World, from: usize, action: Option<Action>) {
        let from = u32::try_from(from).expect("states are counted in 32 bits");
        let new = u32::try_from(self.states.len()).expect("states are counted in 32 bits");
        let number = *self.numbers.entry(state).or_insert(new);
        if number == new {
            self.states.push(state);
            self.ways.push((from, action));
        }
        self.steps.push((from, number));
    }

    fn found(&self, wrong: Wrong, at: usize) -> Found {
        let mut trace = Vec::new();
        let mut here = at;
        while let (from, Some(action)) = self.ways[here] {
            trace.push(action);
            here = from as usize;
        }
        trace.reverse();
        Found { wrong, trace, state: self.states[at] }
    }

    /// A state from which no way leads to an end or a park.
    fn dead_end(&self) -> Option<usize> {
        let mut backwards = self.steps.clone();
        backwards.sort_unstable_by_key(|(_, to)| *to);
        let rests =
            |world: &World| world.record.state.is_terminal() || world.record.state.is_parked();
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
