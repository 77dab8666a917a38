//! Checks the promises against the records of a campaign. Pure: the same records give the same
//! result.

mod end_state;
mod log;
mod runs;
mod steps;
mod streams;
#[cfg(test)]
mod tests;
mod violation;

pub use steps::step_name;
pub use violation::{Promise, Violation};

use crate::records::TaskRecord;
use violation::ViolationList;

/// Checks one task.
pub fn check(record: &TaskRecord) -> Vec<Violation> {
    let mut violations = ViolationList { task: &record.task, list: Vec::new() };
    end_state::check(record, &mut violations);
    if let Some(stored) = &record.stored {
        log::check(stored, &mut violations);
        runs::check(stored, record, &mut violations);
        streams::check(stored, record, &mut violations);
        steps::check(stored, record, &mut violations);
    }
    violations.list
}
