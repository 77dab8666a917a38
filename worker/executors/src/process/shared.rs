//! What the tasks of a plugin share: who it is, what is said about which run, and how it ends.

use super::{config::ProcessConfig, routes::Routes, stderr::Tail};
use longhaul_domain::{AgentName, TaskId};
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;

/// What the tasks of a plugin share.
pub(super) struct Shared {
    pub agent: AgentName,
    pub tail: Tail,
    pub command: String,
    pub routes: Routes,
    violation: OnceLock<Violation>,
    pub death: OnceLock<Death>,
    /// Its input ends, and it may tidy up.
    pub closing: CancellationToken,
    /// It gets SIGTERM, and SIGKILL after the grace.
    pub terminating: CancellationToken,
    /// It gets SIGKILL.
    pub killing: CancellationToken,
    pub dead: CancellationToken,
}

/// What a plugin did that the protocol forbids.
pub(super) struct Violation {
    what: String,
    /// The run that did it, where one can be told.
    run: Option<String>,
}

/// How a plugin ended.
pub(super) struct Death {
    pub status: String,
}

impl Shared {
    pub fn new(agent: AgentName, config: &ProcessConfig) -> Self {
        Self {
            agent,
            tail: Tail::default(),
            command: config.shown(),
            routes: Routes::default(),
            violation: OnceLock::new(),
            death: OnceLock::new(),
            closing: CancellationToken::new(),
            terminating: CancellationToken::new(),
            killing: CancellationToken::new(),
            dead: CancellationToken::new(),
        }
    }

    /// The task of the only run in the plugin.
    pub fn only_task(&self) -> Option<TaskId> {
        self.routes.only_task()
    }

    /// The plugin broke the protocol: it is killed. The first violation is the one that is told.
    pub fn violate(&self, run: Option<String>, what: String) {
        let run = match run {
            Some(named) => self.routes.blame(named),
            None => self.routes.only_run(),
        };
        tracing::error!(agent = %self.agent, command = self.command, what, "a plugin broke the protocol");
        let _ = self.violation.set(Violation { what, run });
        self.killing.cancel();
    }

    /// What its end means for a run that was in it: why it failed, and whether another attempt is worth while. What breaks the
    /// protocol would do so again; the other runs in that process are innocent.
    pub fn cause_of_death(&self, run: &str) -> (String, bool) {
        let name = &self.command;
        let tail = self.tail.sentence();
        if let Some(violation) = self.violation.get() {
            let mine = violation.run.as_deref() == Some(run);
            return (
                format!("the plugin `{name}` broke the protocol: {}{tail}", violation.what),
                !mine,
            );
        }
        let status = self.death.get().map_or("it is gone", |death| death.status.as_str());
        (format!("the plugin `{name}` ended without ending its run: {status}{tail}"), true)
    }
}
