//! Checks of the `[[agent]]` sections.

use std::collections::BTreeSet;

use super::{
    agent::{AgentSettings, ExecutorName, LimitSettings, ProcessSettings, RetrySettings},
    check::{Validated, Validator},
};

/// Prefix of the URIs of Longhaul's own extensions.
const OWN_EXTENSION_PREFIX: &str = "urn:longhaul:a2a:";

impl Validator<'_> {
    pub(super) fn agents(&self, agents: &[AgentSettings]) -> Validated {
        let mut names = BTreeSet::new();
        for (at, agent) in agents.iter().enumerate() {
            let key = format!("agent[{at}]");
            self.agent_name(&format!("{key}.name"), &agent.name)?;
            if !names.insert(&agent.name) {
                let problem = format!("another agent is named {:?} too", agent.name);
                return self.reject(
                    &format!("{key}.name"),
                    problem,
                    "a name of its own for each agent",
                );
            }
            self.agent(&key, agent)?;
        }
        Ok(())
    }

    fn executor_name(&self, key: &str, executor: &ExecutorName) -> Validated {
        let known: Vec<&str> = [ExecutorName::BUILT_IN, self.registered].concat();
        if known.contains(&executor.as_str()) {
            return Ok(());
        }
        let quoted: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        self.reject(
            key,
            format!("there is no executor {executor:?}", executor = executor.as_str()),
            &quoted.join(", "),
        )
    }

    fn agent(&self, key: &str, agent: &AgentSettings) -> Validated {
        self.executor_name(&format!("{key}.executor"), &agent.executor)?;
        self.ensure(
            !agent.version.is_empty(),
            &format!("{key}.version"),
            "is empty",
            "text such as \"1.0.0\"",
        )?;
        self.positive_duration(&format!("{key}.timeout"), agent.timeout)?;
        self.positive_u32(&format!("{key}.max_attempts"), agent.max_attempts)?;
        if let Some(concurrency) = agent.concurrency {
            self.positive_u32(&format!("{key}.concurrency"), concurrency)?;
        }
        for (name, period) in [
            ("no_progress_timeout", agent.no_progress_timeout),
            ("queue_timeout", agent.queue_timeout),
            ("total_timeout", agent.total_timeout),
        ] {
            if let Some(period) = period {
                self.positive_duration(&format!("{key}.{name}"), period)?;
            }
        }
        self.retry(&format!("{key}.retry"), &agent.retry)?;
        self.limits(&format!("{key}.limits"), &agent.limits)?;
        self.skills(key, agent)?;
        self.extensions(key, agent)?;
        let process = format!("{key}.process");
        match (agent.executor == ExecutorName::PROCESS, &agent.process) {
            (true, Some(section)) => self.process(&process, section),
            (true, None) => self.reject(
                &process,
                "is missing",
                "a section [agent.process] with the command of the program",
            ),
            (false, Some(_)) => {
                self.reject(&process, "has no use here", "only with executor = \"process\"")
            }
            (false, None) => Ok(()),
        }
    }

    fn retry(&self, key: &str, retry: &RetrySettings) -> Validated {
        self.positive_duration(&format!("{key}.initial"), retry.initial)?;
        self.positive_duration(&format!("{key}.max"), retry.max)?;
        self.ensure(
            (1.0..=100.0).contains(&retry.factor),
            &format!("{key}.factor"),
            &format!("{} is not such a factor", retry.factor),
            "a number from 1 to 100",
        )
    }

    fn limits(&self, key: &str, limits: &LimitSettings) -> Validated {
        for (name, limit) in [
            ("running", limits.running),
            ("running_per_owner", limits.running_per_owner),
            ("running_per_key", limits.running_per_key),
            ("queued", limits.queued),
            ("queued_per_owner", limits.queued_per_owner),
        ] {
            if let Some(limit) = limit {
                self.positive_u32(&format!("{key}.{name}"), limit)?;
            }
        }
        Ok(())
    }

    fn skills(&self, key: &str, agent: &AgentSettings) -> Validated {
        let mut ids = BTreeSet::new();
        for (at, skill) in agent.skill.iter().enumerate() {
            let (id, name) = (format!("{key}.skill[{at}].id"), format!("{key}.skill[{at}].name"));
            self.ensure(!skill.id.is_empty(), &id, "is missing or empty", "text")?;
            self.ensure(!skill.name.is_empty(), &name, "is missing or empty", "text")?;
            self.ensure(
                ids.insert(&skill.id),
                &id,
                "another skill has this id too",
                "an id of its own for each skill",
            )?;
        }
        Ok(())
    }

    fn extensions(&self, key: &str, agent: &AgentSettings) -> Validated {
        let mut uris = BTreeSet::new();
        for (at, extension) in agent.extension.iter().enumerate() {
            let (key, uri) = (format!("{key}.extension[{at}]"), &extension.uri);
            let good = !uri.is_empty() && uri.bytes().all(|b| b.is_ascii_graphic() && b != b',');
            self.ensure(
                good,
                &format!("{key}.uri"),
                "is not such a URI",
                "a URI without spaces and commas, with a version",
            )?;
            self.ensure(
                !uri.starts_with(OWN_EXTENSION_PREFIX),
                &format!("{key}.uri"),
                "is an extension of Longhaul, which every agent has",
                "an extension of the agent's own",
            )?;
            self.ensure(
                uris.insert(uri),
                &format!("{key}.uri"),
                "another extension has this URI too",
                "a URI of its own for each extension",
            )?;
            let params = extension.params.as_ref();
            self.ensure(
                params.is_none_or(|params| params.to_json().is_some()),
                &format!("{key}.params"),
                "holds a number that JSON does not have",
                "numbers that are finite",
            )?;
        }
        Ok(())
    }

    fn process(&self, key: &str, process: &ProcessSettings) -> Validated {
        let command = process.command.first().is_some_and(|program| !program.is_empty());
        self.ensure(
            command,
            &format!("{key}.command"),
            "names no program",
            "a list: the program and its arguments",
        )?;
        self.positive_u32(&format!("{key}.max_inflight"), process.max_inflight)?;
        self.positive_duration(&format!("{key}.start_timeout"), process.start_timeout)?;
        self.positive(&format!("{key}.max_line_bytes"), process.max_line_bytes)
    }
}
