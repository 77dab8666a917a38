//! The `[[agent]]` section: agents served by the built-in executors.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    schema::{SettingType, ValueKind, section},
    values::{HumanDuration, SettingsTable},
};
use crate::secret::Secret;

section! {
    /// `[[agent]]`: one agent, run by one built-in executor.
    AgentSettings {
        /// Name of the agent, required: up to 63 lower-case letters, digits and dashes.
        name: String = String::new();
        /// The executor that runs its tasks, required: "demo", "echo", "process", or one that the
        /// program has registered.
        executor: ExecutorName = ExecutorName::default();
        /// Description of the agent, for its card.
        description: String = String::new();
        /// Version of the agent. When workers differ, cards show the highest.
        version: String = "1.0.0".to_owned();
        /// Maximum number of this agent's tasks that run at once in one worker. Absent:
        /// `worker.concurrency`.
        concurrency: Option<u32> = None;
        /// Maximum duration of an attempt.
        timeout: HumanDuration = HumanDuration::seconds(3_600);
        /// Maximum time without progress during an attempt. Absent: no limit.
        no_progress_timeout: Option<HumanDuration> = None;
        /// Maximum wait of a runnable task for its first start. Absent: no limit.
        queue_timeout: Option<HumanDuration> = None;
        /// Maximum time from acceptance (or from `notBefore`) to the end of a task, parked time
        /// included. Absent: no limit.
        total_timeout: Option<HumanDuration> = None;
        /// Number of attempts before a task fails.
        max_attempts: u32 = 3;
        /// Delay between attempts.
        retry: RetrySettings = RetrySettings::default();
        /// Limits on running and queued tasks, across all workers and nodes.
        limits: LimitSettings = LimitSettings::default();
        /// Finish a task with the version that started it, on any worker that has that version.
        pin_version: bool = false;
        /// Answer with a message instead of a task where the executor can.
        direct: bool = false;
        /// Media types that the agent reads.
        input_modes: Vec<String> = vec!["text/plain".to_owned()];
        /// Media types that the agent writes.
        output_modes: Vec<String> = vec!["text/plain".to_owned()];
        /// Skills of the agent, each headed `[[agent.skill]]`.
        skill: Vec<SkillSettings> = Vec::new();
        /// Extensions of A2A that the agent declares, each headed `[[agent.extension]]`.
        extension: Vec<ExtensionSettings> = Vec::new();
        /// The program, for `executor = "process"`.
        process: Option<ProcessSettings> = None;
    }
}

section! {
    /// `[agent.retry]`: the delay between attempts of a task; half of it is random.
    RetrySettings {
        /// Delay after the first failure.
        initial: HumanDuration = HumanDuration::seconds(1);
        /// Growth of the delay with each further failure, at least 1.
        factor: f64 = 2.0;
        /// Maximum delay.
        max: HumanDuration = HumanDuration::seconds(60);
    }
}

section! {
    /// `[agent.limits]`: limits on the tasks of an agent, across all workers and nodes.
    LimitSettings {
        /// Maximum number of tasks that run at once. Absent: no limit.
        running: Option<u32> = None;
        /// Maximum number of tasks of one owner that run at once. Absent: no limit.
        running_per_owner: Option<u32> = None;
        /// Maximum number of tasks with the same owner and concurrency key that run at once.
        /// Absent: no limit.
        running_per_key: Option<u32> = None;
        /// Maximum number of queued tasks; further ones are rejected. Absent: `server.max_queued`.
        queued: Option<u32> = None;
        /// Maximum number of queued tasks of one owner. Absent: `server.max_queued_per_owner`.
        queued_per_owner: Option<u32> = None;
    }
}

section! {
    /// `[[agent.skill]]`: a skill of the agent, for its card.
    SkillSettings {
        /// Id of the skill, required, unique within the agent.
        id: String = String::new();
        /// Display name of the skill, required.
        name: String = String::new();
        /// Description of the skill.
        description: String = String::new();
        /// Keywords for finding the skill.
        tags: Vec<String> = Vec::new();
        /// Example messages that use the skill.
        examples: Vec<String> = Vec::new();
        /// Media types that the skill reads. Absent: those of the agent.
        input_modes: Option<Vec<String>> = None;
        /// Media types that the skill writes. Absent: those of the agent.
        output_modes: Option<Vec<String>> = None;
        /// Show the skill on the extended card only, to authenticated callers.
        extended: bool = false;
    }
}

section! {
    /// `[[agent.extension]]`: an A2A extension that the agent declares.
    ExtensionSettings {
        /// URI of the extension, version included; required, unique within the agent.
        uri: String = String::new();
        /// Description of its use by the agent.
        description: String = String::new();
        /// Reject messages of clients that do not declare it.
        required: bool = false;
        /// Parameters that the extension defines, for its entry on the card.
        params: Option<SettingsTable> = None;
    }
}

section! {
    /// `[agent.process]`: the program of an agent with `executor = "process"`.
    ProcessSettings {
        /// Program and arguments, required. A program with a slash is relative to the configuration
        /// file's folder; one without is looked up in PATH.
        command: Vec<String> = Vec::new();
        /// Working directory of the program, relative to the configuration file's folder. Absent:
        /// the worker's.
        working_dir: Option<PathBuf> = None;
        /// Environment variables of the program; secrets.
        env: BTreeMap<String, Secret> = BTreeMap::new();
        /// "once" starts the program for each task, "keep" keeps it running for many tasks.
        mode: ProcessMode = ProcessMode::default();
        /// Maximum number of tasks that a kept program works on at once.
        max_inflight: u32 = 16;
        /// Maximum time from the start of the program until it reports ready.
        start_timeout: HumanDuration = HumanDuration::seconds(30);
        /// Time for the program to exit on request before it is killed with its children.
        kill_grace: HumanDuration = HumanDuration::seconds(5);
        /// Maximum length of a line that the program writes, in bytes.
        max_line_bytes: usize = 16 * 1024 * 1024;
    }
}

/// The name of an executor: a built-in one, or one that the program has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutorName(Cow<'static, str>);

impl ExecutorName {
    /// Plans a trip, to demonstrate tasks.
    pub const DEMO: Self = Self(Cow::Borrowed("demo"));
    /// Echoes the message.
    pub const ECHO: Self = Self(Cow::Borrowed("echo"));
    /// Runs a program.
    pub const PROCESS: Self = Self(Cow::Borrowed("process"));

    /// The names of the built-in executors, which every program has.
    pub const BUILT_IN: &'static [&'static str] = &["demo", "echo", "process"];

    /// Creates the name of a registered executor.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// The name as it stands in the settings.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ExecutorName {
    fn default() -> Self {
        Self::ECHO
    }
}

impl fmt::Display for ExecutorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SettingType for ExecutorName {
    // Registered names are allowed too; the validation knows them.
    const KIND: ValueKind = ValueKind::OneOf(Self::BUILT_IN);
}

/// The lifetime of an agent's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessMode {
    /// One process per task.
    #[default]
    Once,
    /// One process for many tasks.
    Keep,
}

impl SettingType for ProcessMode {
    const KIND: ValueKind = ValueKind::OneOf(&["once", "keep"]);
}
