//! CPU time of processes with all that they have started.
//!
//! Backends of Postgres come and go: what one used is counted while it lives in its own line, and in its parent's once it has
//! ended, so a tree's sum never goes back.

use crate::stack::{Role, Stack};
use std::{collections::BTreeMap, fs};

/// Clock ticks a second, the same on every Linux that programs see.
const TICKS: f64 = 100.0;

/// CPU seconds by group.
pub type Groups = BTreeMap<Role, f64>;

/// What one line of `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    parent: u32,
    /// Of the process itself, in seconds.
    own: f64,
    /// Of its ended and awaited children, in seconds.
    ended: f64,
}

/// CPU seconds that each group of the stack has used until now, and this process.
pub fn groups(stack: &Stack) -> Groups {
    let lines = lines();
    let mut groups = Groups::new();
    for (role, root) in stack.roots() {
        *groups.entry(role).or_default() += tree(&lines, root);
    }
    groups.insert(Role::Driver, own());
    groups
}

/// CPU seconds of a process and everything that it has started.
pub fn tree_seconds(pid: u32) -> f64 {
    tree(&lines(), pid)
}

/// CPU seconds of this process alone.
pub fn own() -> f64 {
    read("self").map_or(0.0, |line| line.own)
}

fn tree(lines: &BTreeMap<u32, Line>, root: u32) -> f64 {
    let Some(line) = lines.get(&root) else { return 0.0 };
    let children = lines.iter().filter(|(_, line)| line.parent == root);
    line.own + line.ended + children.map(|(pid, _)| tree(lines, *pid)).sum::<f64>()
}

fn lines() -> BTreeMap<u32, Line> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, read(&pid.to_string())?))).collect()
}

fn read(process: &str) -> Option<Line> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<Line> {
    // The name in parentheses may hold anything; the numbers follow it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / TICKS);
    Some(Line {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        ended: ticks(13)? + ticks(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Line, parse, tree};
    use std::collections::BTreeMap;

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let stat = "17 (a) b (c) S 4 17 17 0 -1 4194560 1 2 3 4 150 50 25 75 20 0 1 0 99 1 1";
        assert_eq!(parse(stat), Some(Line { parent: 4, own: 2.0, ended: 1.0 }));
        assert_eq!(parse("17 (cut"), None);
    }

    #[test]
    fn a_tree_holds_those_who_live_and_those_who_have_ended() {
        let line = |parent, own, ended| Line { parent, own, ended };
        let lines = BTreeMap::from([
            (1, line(0, 8.0, 0.0)),
            (2, line(1, 1.0, 0.5)),
            (3, line(2, 0.25, 0.0)),
            (4, line(3, 0.125, 0.0)),
        ]);
        assert!((tree(&lines, 2) - 1.875).abs() < 1e-9);
    }
}
