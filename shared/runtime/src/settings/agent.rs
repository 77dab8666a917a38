//! `[[agent]]`: the agents that the built-in executors serve.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    kind::{Holds, Kind},
    object::SettingsTable,
    period::HumanDuration,
    schema::section,
};
use crate::secret::Secret;

section! {
    /// `[[agent]]`: one agent, run by one built-in executor.
    AgentSettings {
        /// Name of the agent, required: lower-case letters, digits and dashes, at most 63.
        name: String = String::new();
        /// The executor that runs its tasks, required: "demo", "echo", "process", or one that the program has registered.
        executor: ExecutorName = ExecutorName::default();
        /// What the agent does, for its card.
        description: String = String::new();
        /// Version of the agent; of several workers' versions the highest wins.
        version: String = "1.0.0".to_owned();
        /// Most tasks of this agent that run at once in one worker. Absent: as many as `worker.concurrency`.
        concurrency: Option<u32> = None;
        /// Longest time that one attempt may run.
        timeout: HumanDuration = HumanDuration::seconds(3_600);
        /// Longest time that an attempt may go on without a sign of progress. Absent: no limit.
        no_progress_timeout: Option<HumanDuration> = None;
        /// Longest time that a task may wait for its first start once it is runnable. Absent: no limit.
        queue_timeout: Option<HumanDuration> = None;
        /// Longest time from acceptance (or the time before which it must not start) to the end of a task, parked or not. Absent:
        /// no limit.
        total_timeout: Option<HumanDuration> = None;
        /// How often a task is tried before it fails.
        max_attempts: u32 = 3;
        /// How long to wait between attempts.
        retry: RetrySettings = RetrySettings::default();
        /// How much may run and wait, over all workers and nodes.
        limits: LimitSettings = LimitSettings::default();
        /// Run a task that this version has begun with this version only, on whatever worker.
        pin_version: bool = false;
        /// Answer with a message instead of a task where the executor can.
        direct: bool = false;
        /// Media types that the agent reads.
        input_modes: Vec<String> = vec!["text/plain".to_owned()];
        /// Media types that the agent writes.
        output_modes: Vec<String> = vec!["text/plain".to_owned()];
        /// What the agent can do, each headed `[[agent.skill]]`.
        skill: Vec<Skill> = Vec::new();
        /// Extensions of A2A that the agent declares, each headed `[[agent.extension]]`.
        extension: Vec<Extension> = Vec::new();
        /// The program, for `executor = "process"`.
        process: Option<ProcessSettings> = None;
    }
}

section! {
    /// `[agent.retry]`: how long to wait between the attempts of a task; half of it is random.
    RetrySettings {
        /// After the first failure.
        initial: HumanDuration = HumanDuration::seconds(1);
        /// How much longer after each further failure, at least 1.
        factor: f64 = 2.0;
        /// Never longer than this.
        max: HumanDuration = HumanDuration::seconds(60);
    }
}

section! {
    /// `[agent.limits]`: how much of an agent may run and wait, over all workers and nodes.
    LimitSettings {
        /// Most tasks that run at once. Absent: no limit.
        running: Option<u32> = None;
        /// Most tasks of one owner that run at once. Absent: no limit.
        running_per_owner: Option<u32> = None;
        /// Most tasks of one owner with the same concurrency key that run at once. Absent: no limit.
        running_per_key: Option<u32> = None;
        /// Most tasks that may wait; further ones are turned away. Absent: `server.max_queued`.
        queued: Option<u32> = None;
        /// Most tasks of one owner that may wait. Absent: `server.max_queued_per_owner`.
        queued_per_owner: Option<u32> = None;
    }
}

section! {
    /// `[[agent.skill]]`: one thing that the agent can do, for its card.
    Skill {
        /// Id of the skill, required, unique within the agent.
        id: String = String::new();
        /// Name of the skill for people, required.
        name: String = String::new();
        /// What the skill does.
        description: String = String::new();
        /// Words to find the skill by.
        tags: Vec<String> = Vec::new();
        /// Messages that use the skill.
        examples: Vec<String> = Vec::new();
        /// Media types that the skill reads. Absent: those of the agent.
        input_modes: Option<Vec<String>> = None;
        /// Media types that the skill writes. Absent: those of the agent.
        output_modes: Option<Vec<String>> = None;
        /// Show the skill on the extended card only, to callers who showed who they are.
        extended: bool = false;
    }
}

section! {
    /// `[[agent.extension]]`: an extension of A2A that the agent declares.
    Extension {
        /// URI that names the extension with its version, required, unique within the agent.
        uri: String = String::new();
        /// What the agent uses it for.
        description: String = String::new();
        /// Refuse messages whose client does not declare it.
        required: bool = false;
        /// What the extension itself defines, for its entry on the card.
        params: Option<SettingsTable> = None;
    }
}

section! {
    /// `[agent.process]`: the program of an agent with `executor = "process"`.
    ProcessSettings {
        /// Program and arguments, required. A program with a slash is relative to the configuration file's folder; one
        /// without is searched in PATH.
        command: Vec<String> = Vec::new();
        /// Folder in which the program runs, relative to the configuration file's folder. Absent: that of the worker.
        working_dir: Option<PathBuf> = None;
        /// Environment variables of the program; secrets.
        env: BTreeMap<String, Secret> = BTreeMap::new();
        /// "once" starts the program for each task, "keep" keeps it running and sends it many.
        mode: ProcessMode = ProcessMode::default();
        /// Most tasks that a kept program works on at once.
        max_inflight: u32 = 16;
        /// How long the program may take to say that it is ready.
        start_timeout: HumanDuration = HumanDuration::seconds(30);
        /// How long the program may take to end by itself before it is killed with its children.
        kill_grace: HumanDuration = HumanDuration::seconds(5);
        /// Longest line that the program may write, bytes.
        max_line_bytes: usize = 16 * 1024 * 1024;
    }
}

/// The name of an executor: a built-in one, or one that the program has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutorName(Cow<'static, str>);

impl ExecutorName {
    /// Plans a trip, to show what tasks can do.
    pub const DEMO: Self = Self(Cow::Borrowed("demo"));
    /// Answers with the message that it was sent.
    pub const ECHO: Self = Self(Cow::Borrowed("echo"));
    /// Runs a program.
    pub const PROCESS: Self = Self(Cow::Borrowed("process"));

    /// Names of the executors that every program has.
    pub const BUILT_IN: &'static [&'static str] = &["demo", "echo", "process"];

    /// The name of a registered executor.
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

impl Holds for ExecutorName {
    // Registered names are allowed too; validation knows them.
    const KIND: Kind = Kind::OneOf(Self::BUILT_IN);
}

/// How often a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessMode {
    /// For each task.
    #[default]
    Once,
    /// Once for many tasks.
    Keep,
}

impl Holds for ProcessMode {
    const KIND: Kind = Kind::OneOf(&["once", "keep"]);
}
