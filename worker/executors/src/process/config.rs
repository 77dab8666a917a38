//! The program of a process executor.

use super::guard::PluginGuard;
use longhaul_runtime::{Secret, settings};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The program that does the work of an agent.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// Program and arguments. Never empty.
    pub command: Vec<String>,
    /// Working folder. `None`: that of the worker.
    pub working_dir: Option<PathBuf>,
    /// Environment variables in addition to the worker's.
    pub env: BTreeMap<String, Secret>,
    /// Keeps the program running between runs.
    pub keep: bool,
    /// Maximum concurrent runs in one process that stays running.
    pub max_inflight: u32,
    /// Time limit from the start to `ready`.
    pub start_timeout: Duration,
    /// Delay from `cancel` to SIGTERM, and from there to SIGKILL.
    pub kill_grace: Duration,
    /// Maximum length of a line that the program writes, bytes.
    pub max_line_bytes: usize,
    /// The guard that ends the program when the worker is killed. Without one the program only sees
    /// the end of its standard input.
    pub guard: Option<PluginGuard>,
}

impl ProcessConfig {
    /// A program with the defaults for everything else.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self::from(&settings::ProcessSettings { command, ..settings::ProcessSettings::default() })
    }

    /// The command for error messages, up to the first option. Later words may be secret.
    pub(super) fn shown_command(&self) -> String {
        let words = self.command.iter().take_while(|word| !word.starts_with('-'));
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    pub(super) const fn mode(&self) -> &'static str {
        if self.keep { "keep" } else { "once" }
    }
}

impl From<&settings::ProcessSettings> for ProcessConfig {
    fn from(process: &settings::ProcessSettings) -> Self {
        Self {
            command: process.command.clone(),
            working_dir: process.working_dir.clone(),
            env: process.env.clone(),
            keep: process.mode == settings::ProcessMode::Keep,
            max_inflight: process.max_inflight,
            start_timeout: process.start_timeout.get(),
            kill_grace: process.kill_grace.get(),
            max_line_bytes: process.max_line_bytes,
            guard: None,
        }
    }
}
