//! Executors from settings.
//!
//! An agent names its executor: a built-in one, or one that the program has registered. Agents that
//! no executor can be made for are errors before anything starts.

use crate::{Demo, Echo, PluginGuard, ProcessConfig, ProcessExecutor};
use longhaul_domain::{
    AgentDescriptor, AgentLimits, AgentName, ConcurrencyLimits, IdError, JsonObject, Skill,
    extension::Extension,
};
use longhaul_executor::{Executor, ExecutorDescriptor, RetryBackoff, RunPolicy};
use longhaul_runtime::settings::{self, AgentSettings, ExecutorName, HumanDuration};
use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    fmt,
    sync::Arc,
};

/// An error of a registered factory.
type FactoryError = Box<dyn Error + Send + Sync>;

/// A function that makes a registered executor.
type ExecutorFactory =
    Box<dyn Fn(ExecutorDescriptor) -> Result<Arc<dyn Executor>, FactoryError> + Send + Sync>;

/// Agent settings that no executor can be made from.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name is not valid for an agent.
    #[error("agent {name:?}: the name {source}")]
    Name {
        /// The configured name.
        name: String,
        /// The problem with it.
        source: IdError,
    },
    /// Two agents have the same name.
    #[error("agent {0}: configured twice; every agent needs a name of its own")]
    DuplicateName(AgentName),
    /// `executor = "process"` without a program.
    #[error("agent {0}: executor = \"process\" needs [agent.process] with a command")]
    NoCommand(AgentName),
    /// The executor is neither built in nor registered.
    #[error("agent {agent}: there is no executor {executor:?}")]
    UnknownExecutor {
        /// The agent.
        agent: AgentName,
        /// The name of its executor.
        executor: String,
    },
    /// A registered executor cannot be made.
    #[error("agent {agent}: {source}")]
    Factory {
        /// The agent.
        agent: AgentName,
        /// The factory's error.
        source: FactoryError,
    },
}

/// The executors that settings can name: the built-in ones, and those that the program registers.
#[derive(Default)]
pub struct ExecutorRegistry {
    factories: BTreeMap<String, ExecutorFactory>,
}

impl ExecutorRegistry {
    /// A registry of the built-in executors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an executor: agents with `executor = "<name>"` are made by `factory`. A built-in
    /// executor of that name wins.
    #[must_use]
    pub fn register<E: Executor, Err: Into<FactoryError>>(
        mut self,
        name: &str,
        factory: impl Fn(ExecutorDescriptor) -> Result<E, Err> + Send + Sync + 'static,
    ) -> Self {
        let factory: ExecutorFactory = Box::new(move |descriptor| {
            let executor = factory(descriptor).map_err(Into::into)?;
            Ok(Arc::new(executor) as Arc<dyn Executor>)
        });
        self.factories.insert(name.to_owned(), factory);
        self
    }

    /// The names of the registered executors.
    pub fn registered(&self) -> Vec<&str> {
        self.factories.keys().map(String::as_str).collect()
    }

    /// Builds one executor for each agent, in their order. Programs that they start end with the
    /// guard, if there is one.
    ///
    /// # Errors
    /// The first agent that no executor can be made for.
    pub fn build(
        &self,
        agents: &[AgentSettings],
        guard: Option<&PluginGuard>,
    ) -> Result<Vec<Arc<dyn Executor>>, RegistryError> {
        let mut executors: Vec<Arc<dyn Executor>> = Vec::with_capacity(agents.len());
        let mut names = HashSet::new();
        for agent in agents {
            let descriptor = descriptor(agent)?;
            let name = descriptor.agent.name.clone();
            if !names.insert(name.clone()) {
                return Err(RegistryError::DuplicateName(name));
            }
            executors.push(self.executor(agent, descriptor, guard)?);
        }
        Ok(executors)
    }

    fn executor(
        &self,
        agent: &AgentSettings,
        descriptor: ExecutorDescriptor,
        guard: Option<&PluginGuard>,
    ) -> Result<Arc<dyn Executor>, RegistryError> {
        let name = descriptor.agent.name.clone();
        // Built-in names first, so that a program cannot change their meaning.
        if agent.executor == ExecutorName::ECHO {
            return Ok(Arc::new(Echo::new(descriptor)));
        }
        if agent.executor == ExecutorName::DEMO {
            return Ok(Arc::new(Demo::new(descriptor)));
        }
        if agent.executor == ExecutorName::PROCESS {
            let process = agent.process.as_ref().filter(|process| !process.command.is_empty());
            let process = process.ok_or(RegistryError::NoCommand(name))?;
            let config = ProcessConfig { guard: guard.cloned(), ..process.into() };
            return Ok(Arc::new(ProcessExecutor::new(descriptor, config)));
        }
        match self.factories.get(agent.executor.as_str()) {
            Some(factory) => {
                factory(descriptor).map_err(|source| RegistryError::Factory { agent: name, source })
            }
            None => Err(RegistryError::UnknownExecutor {
                agent: name,
                executor: agent.executor.to_string(),
            }),
        }
    }
}

impl fmt::Debug for ExecutorRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorRegistry").field("registered", &self.registered()).finish()
    }
}

/// Describes an agent from its settings. An agent without skills gets one of its own name: a card
/// must have one.
///
/// # Errors
/// A name that is not valid for an agent.
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

fn skill(skill: &settings::SkillSettings) -> Skill {
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

fn extension(extension: &settings::ExtensionSettings) -> Extension {
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
    use std::convert::Infallible;

    fn agent(name: &str, executor: ExecutorName) -> AgentSettings {
        AgentSettings { name: name.to_owned(), executor, ..AgentSettings::default() }
    }

    fn refused(agents: &[AgentSettings]) -> String {
        ExecutorRegistry::new().build(agents, None).err().unwrap().to_string()
    }

    #[test]
    fn every_agent_gets_its_executor_and_a_skill() {
        let agents = [agent("echo", ExecutorName::ECHO), agent("demo", ExecutorName::DEMO)];
        let executors = ExecutorRegistry::new().build(&agents, None).unwrap();
        let names: Vec<String> =
            executors.iter().map(|e| e.descriptor().agent.name.to_string()).collect();
        assert_eq!(names, ["echo", "demo"]);
        assert_eq!(executors[0].descriptor().agent.skills.len(), 1);
    }

    #[test]
    fn a_registered_executor_can_be_named() {
        let agents = [agent("mine", ExecutorName::new("mirror"))];
        assert!(refused(&agents).contains("there is no executor \"mirror\""));
        let registry = ExecutorRegistry::new()
            .register("mirror", |descriptor| Ok::<_, Infallible>(Echo::new(descriptor)));
        let executors = registry.build(&agents, None).unwrap();
        assert_eq!(executors[0].descriptor().agent.name.as_str(), "mine");
        assert_eq!(registry.registered(), ["mirror"]);
    }

    #[test]
    fn a_factory_that_fails_is_reported_with_the_agent() {
        let registry = ExecutorRegistry::new().register("broken", |_| Err::<Echo, _>("no licence"));
        let refused =
            registry.build(&[agent("a", ExecutorName::new("broken"))], None).err().unwrap();
        assert_eq!(refused.to_string(), "agent a: no licence");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        assert!(refused(&[agent("No", ExecutorName::ECHO)]).contains("\"No\""));
        let twice = [agent("a", ExecutorName::ECHO), agent("a", ExecutorName::DEMO)];
        assert!(refused(&twice).contains("twice"));
        assert!(refused(&[agent("p", ExecutorName::PROCESS)]).contains("command"));
    }
}
