//! The steps that a run of a plugin has under way. What they hold back is bounded by their number, and gone when the run is.

use longhaul_domain::ArtifactId;
use longhaul_executor::{OpenStep, TaskContext};
use std::collections::HashMap;

/// Most steps that a run may have under way.
const MAX_OPEN: usize = 8;

/// Steps by name.
#[derive(Default)]
pub(super) struct Steps(HashMap<String, UnderWay>);

struct UnderWay {
    step: OpenStep,
    last_artifact: Option<ArtifactId>,
}

impl Steps {
    /// Whether one more may begin; otherwise what the plugin is told.
    pub fn check_room(&self) -> Result<(), String> {
        if self.0.len() < MAX_OPEN {
            return Ok(());
        }
        Err(format!("a run has at most {MAX_OPEN} steps under way; end one first"))
    }

    /// One has begun.
    pub fn open(&mut self, step: OpenStep) {
        self.0.insert(step.name().to_string(), UnderWay { step, last_artifact: None });
    }

    /// Where a step's output goes, and which artifact it wrote last.
    pub fn get(&mut self, name: &str) -> Option<(TaskContext, &mut Option<ArtifactId>)> {
        let under_way = self.0.get_mut(name)?;
        Some((under_way.step.context().clone(), &mut under_way.last_artifact))
    }

    /// One ends.
    pub fn close(&mut self, name: &str) -> Result<OpenStep, String> {
        let under_way = self.0.remove(name);
        under_way
            .map(|under_way| under_way.step)
            .ok_or_else(|| format!("step {name:?} is not under way"))
    }

    /// One of those that are under way.
    pub fn any(&self) -> Option<&str> {
        self.0.keys().min().map(String::as_str)
    }
}
