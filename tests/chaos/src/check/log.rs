//! Logs: gapless from 1, and ended by one terminal status.

use super::violation::{Promise, ViolationList};
use crate::records::{StoredTask, is_terminal};

pub(super) fn check(stored: &StoredTask, violations: &mut ViolationList<'_>) {
    let gap = stored.log.iter().zip(1..).find(|(entry, wanted)| entry.seq != *wanted);
    if let Some((entry, wanted)) = gap {
        violations
            .add(Promise::Gapless, format!("entry {wanted} is missing, {} follows", entry.seq));
    }
    let last = stored.log.last().map_or(0, |entry| entry.seq);
    if last != stored.last_seq {
        violations.add(
            Promise::Gapless,
            format!("the log ends with {last}, its head says {}", stored.last_seq),
        );
    }
    let ends: Vec<(i64, &str)> = stored
        .log
        .iter()
        .filter_map(|entry| Some((entry.seq, entry.state()?)))
        .filter(|(_, state)| is_terminal(state))
        .collect();
    match ends.as_slice() {
        [] if is_terminal(&stored.state) => {
            violations
                .add(Promise::OneEnd, format!("it is {}, and no entry says so", stored.state));
        }
        [] => {}
        [(seq, state)] => {
            if *seq != last {
                violations.add(
                    Promise::OneEnd,
                    format!("entries {seq}..{last} follow the end ({state})"),
                );
            }
            if *state != stored.state {
                violations
                    .add(Promise::OneEnd, format!("it is {}, the log says {state}", stored.state));
            }
        }
        many => violations.add(Promise::OneEnd, format!("it has ended several times: {many:?}")),
    }
}
