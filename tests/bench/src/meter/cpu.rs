//! CPU time of process trees.
//!
//! Backends of Postgres come and go. The time of one is counted in its own line while it lives, and
//! in its parent's once it has ended, so the sum of a tree never decreases.

use std::{collections::BTreeMap, fs};

/// Clock ticks per second; the same in user space of every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The relevant fields of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ProcStat {
    parent: u32,
    /// CPU seconds of the process itself.
    own: f64,
    /// CPU seconds of its ended and awaited children.
    ended: f64,
}

/// All processes of the machine at one instant.
#[derive(Debug, Default)]
pub struct ProcessTable(BTreeMap<u32, ProcStat>);

/// CPU seconds of a process and its descendants.
pub fn tree_seconds(pid: u32) -> f64 {
    ProcessTable::read().tree_seconds(pid)
}

/// CPU seconds of this process alone.
pub fn own() -> f64 {
    read("self").map_or(0.0, |line| line.own)
}

impl ProcessTable {
    /// Reads the table.
    pub fn read() -> Self {
        let Ok(entries) = fs::read_dir("/proc") else { return Self::default() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(pids.filter_map(|pid: u32| Some((pid, read(&pid.to_string())?))).collect())
    }

    /// CPU seconds of a process and its descendants; zero when it does not exist.
    pub fn tree_seconds(&self, root: u32) -> f64 {
        let Some(process) = self.0.get(&root) else { return 0.0 };
        let children = self.0.iter().filter(|(_, child)| child.parent == root);
        let children = children.map(|(pid, _)| self.tree_seconds(*pid));
        process.own + process.ended + children.sum::<f64>()
    }
}

fn read(process: &str) -> Option<ProcStat> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<ProcStat> {
    // The name in parentheses may contain anything; the numbers follow it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks =
        |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    Some(ProcStat {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        ended: ticks(13)? + ticks(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{ProcStat, ProcessTable, parse};
    use std::collections::BTreeMap;

    #[test]
    fn a_line_is_parsed_whatever_the_name_of_the_program() {
        let stat = "17 (a) b (c) S 4 17 17 0 -1 4194560 1 2 3 4 150 50 25 75 20 0 1 0 99 1 1";
        assert_eq!(parse(stat), Some(ProcStat { parent: 4, own: 2.0, ended: 1.0 }));
        assert_eq!(parse("17 (cut"), None);
    }

    #[test]
    fn a_tree_includes_living_and_ended_descendants() {
        let process = |parent, own, ended| ProcStat { parent, own, ended };
        let processes = ProcessTable(BTreeMap::from([
            (1, process(0, 8.0, 0.0)),
            (2, process(1, 1.0, 0.5)),
            (3, process(2, 0.25, 0.0)),
            (4, process(3, 0.125, 0.0)),
        ]));
        assert!((processes.tree_seconds(2) - 1.875).abs() < 1e-9);
    }
}
