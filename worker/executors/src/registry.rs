//! From settings to executors.

use crate::{Echo, PluginGuard, ProcessConfig, ProcessExecutor, Script, script};
use longhaul_domain::{
    AgentDescriptor, AgentLimits, AgentName, ConcurrencyLimits, IdError, JsonObject, Skill,
    extension::Extension,
};
use longhaul_executor::{Executor, ExecutorDescriptor, RetryBackoff, RunPolicy};
use longhaul_runtime::settings::{self, AgentSettings, ExecutorKind, HumanDuration};
use std::sync::Arc;

/// Settings that no executor can be made of.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not a name for an agent.
    #[error("agent {name:?}: the name {source}")]
    Name {
        /// As it is configured.
        name: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// Two agents of one name.
    #[error("agent {0}: configured twice; every agent needs a name of its own")]
    Twice(AgentName),
    /// `executor = "process"` without a program.
    #[error("agent {0}: executor = \"process\" needs [agent.process] with a command")]
    NoCommand(AgentName),
    /// The commands for messages without a plan make no sense.
    #[error("{OTHERWISE} in the environment: {0}", OTHERWISE = script::OTHERWISE)]
    Otherwise(script::PlanError),
}

/// One executor for every configured agent, in their order. Programs that they start end with the guard, where there is one.
pub fn build(
    agents: &[AgentSettings],
    guard: Option<&PluginGuard>,
) -> Result<Vec<Arc<dyn Executor>>, RegistryError> {
    let mut executors: Vec<Arc<dyn Executor>> = Vec::with_capacity(agents.len());
    let mut names = std::collections::HashSet::new();
    for agent in agents {
        let descriptor = descriptor(agent)?;
        let name = descriptor.agent.name.clone();
        if !names.insert(name.clone()) {
            return Err(RegistryError::Twice(name));
        }
        executors.push(match agent.executor {
            ExecutorKind::Echo => Arc::new(Echo::new(descriptor)),
            ExecutorKind::Script => Arc::new(script(descriptor).map_err(RegistryError::Otherwise)?),
            ExecutorKind::Process => {
                let process = agent.process.as_ref().filter(|process| !process.command.is_empty());
                let process = process.ok_or(RegistryError::NoCommand(name))?;
                let config = ProcessConfig { guard: guard.cloned(), ..process.into() };
                Arc::new(ProcessExecutor::new(descriptor, config))
            }
        });
    }
    Ok(executors)
}

/// A scripted executor as the environment wants it: what is for tests alone is not among the settings.
fn script(descriptor: ExecutorDescriptor) -> Result<Script, script::PlanError> {
    let effects = std::env::var_os(script::EFFECTS_FOLDER).map(Into::into);
    let timeout = std::env::var(script::STREAM_TIMEOUT).ok();
    let kits = script::Kits::with_stream_timeout(timeout.as_deref());
    let script = Script::new(descriptor).effects_in(effects).kits(kits);
    match std::env::var(script::OTHERWISE) {
        Ok(commands) if !commands.trim().is_empty() => script.otherwise(&commands),
        _ => Ok(script),
    }
}

/// What an agent's settings say about it. An agent without skills gets one that is named like itself: a card must have one.
pub fn descriptor(agent: &AgentSettings) -> Result<ExecutorDescriptor, RegistryError> {
    let name = AgentName::unreserved(agent.name.as_str())
        .map_err(|source| RegistryError::Name { name: agent.name.clone(), source })?;
    let description = match agent.description.as_str() {
        "" => format!("The agent {name}"),
        text => text.to_owned(),
    };
    let mut skills: Vec<Skill> = agent.skill.iter().map(skill).collect();
    if skills.is_empty() {
        skills.push(Skill {
            id: name.to_string(),
            name: name.to_string(),
            description: description.clone(),
            tags: vec![name.to_string()],
            examples: Vec::new(),
            input_modes: Vec::new(),
            output_modes: Vec::new(),
            extended: false,
        });
    }
    let policy = RunPolicy {
        timeout: agent.timeout.get(),
        no_progress: agent.no_progress_timeout.map(HumanDuration::get),
        max_attempts: agent.max_attempts.max(1),
        backoff: RetryBackoff {
            initial: agent.retry.initial.get(),
            factor: agent.retry.factor,
            max: agent.retry.max.get(),
        },
    };
    Ok(ExecutorDescriptor {
        agent: AgentDescriptor {
            name,
            version: agent.version.clone(),
            description,
            skills,
            input_modes: agent.input_modes.clone(),
            output_modes: agent.output_modes.clone(),
            direct: agent.direct,
            extensions: agent.extension.iter().map(extension).collect(),
            limits: limits(agent),
        },
        concurrency: agent.concurrency,
        policy,
        pinned: agent.pin_version,
    })
}

fn limits(agent: &AgentSettings) -> AgentLimits {
    let millis =
        |period: HumanDuration| u64::try_from(period.get().as_millis()).unwrap_or(u64::MAX);
    let limits = &agent.limits;
    AgentLimits {
        running: ConcurrencyLimits {
            total: limits.running,
            per_owner: limits.running_per_owner,
            per_key: limits.running_per_key,
        },
        queued: limits.queued,
        queued_per_owner: limits.queued_per_owner,
        queue_timeout_ms: agent.queue_timeout.map(millis),
        total_timeout_ms: agent.total_timeout.map(millis),
    }
}

fn skill(skill: &settings::Skill) -> Skill {
    Skill {
        id: skill.id.clone(),
        name: skill.name.clone(),
        description: skill.description.clone(),
        tags: skill.tags.clone(),
        examples: skill.examples.clone(),
        input_modes: skill.input_modes.clone().unwrap_or_default(),
        output_modes: skill.output_modes.clone().unwrap_or_default(),
        extended: skill.extended,
    }
}

fn extension(extension: &settings::Extension) -> Extension {
    Extension {
        uri: extension.uri.clone(),
        description: extension.description.clone(),
        required: extension.required,
        // The settings were checked: what is no JSON does not get here.
        params: extension
            .params
            .as_ref()
            .and_then(settings::SettingsTable::to_json)
            .and_then(|params| JsonObject::parse(&params.to_string()).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str, executor: ExecutorKind) -> AgentSettings {
        AgentSettings { name: name.to_owned(), executor, ..AgentSettings::default() }
    }

    #[test]
    fn every_agent_gets_its_executor_and_a_skill() {
        let executors = [agent("echo", ExecutorKind::Echo), agent("script", ExecutorKind::Script)];
        let executors = build(&executors, None).unwrap();
        let names: Vec<String> =
            executors.iter().map(|e| e.descriptor().agent.name.to_string()).collect();
        assert_eq!(names, ["echo", "script"]);
        assert_eq!(executors[0].descriptor().agent.skills.len(), 1);
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let refused = |agents: &[AgentSettings]| build(agents, None).err().unwrap().to_string();
        assert!(refused(&[agent("No", ExecutorKind::Echo)]).contains("\"No\""));
        let twice = [agent("a", ExecutorKind::Echo), agent("a", ExecutorKind::Script)];
        assert!(refused(&twice).contains("twice"));
        assert!(refused(&[agent("p", ExecutorKind::Process)]).contains("command"));
    }
}
