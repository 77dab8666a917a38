//! What the types alone cannot say: limits, names, and keys that must fit one another.

mod cards;
mod web;

pub use web::parse_network;

use std::collections::BTreeSet;

use super::{
    agent::{AgentSettings, ExecutorName, LimitSettings, ProcessSettings, RetrySettings},
    error::{SettingOrigin, SettingsError},
    file::Origins,
    period::HumanDuration,
    sections::{AuthMode, Settings},
};
use crate::{secret::Secret, telemetry};

type Checked = Result<(), SettingsError>;

/// Path segments that the API uses itself; an agent of such a name could not be addressed.
pub const RESERVED_AGENT_NAMES: [&str; 17] = [
    "a2a",
    "agents",
    "console",
    "executor",
    "explore",
    "extendedAgentCard",
    "healthz",
    "inbound",
    "mcp",
    "message",
    "metrics",
    "operator",
    "readyz",
    "search",
    "tasks",
    "v1",
    "well-known",
];
/// What the URIs of the extensions begin with that Longhaul declares itself.
const OWN_EXTENSIONS: &str = "urn:longhaul:a2a:";

const NAME: &str = "lower-case letters, digits and dashes, first a letter or digit, at most 63";

impl Settings {
    /// Checks settings that were made or changed by code; [`Settings::load`] has already checked what it gives.
    pub fn validate(&self) -> Result<(), SettingsError> {
        all(self, &Origins::default(), &[])
    }

    /// Who may call the API, given what the command does when `auth.mode` is absent. An error when that leaves an address
    /// beyond loopback open to everybody without `server.allow_unauthenticated`.
    pub fn auth_mode(&self, when_absent: AuthMode) -> Result<AuthMode, SettingsError> {
        let mode = self.auth.mode.unwrap_or(when_absent);
        let exposed = !self.server.listen.ip().to_canonical().is_loopback();
        if mode == AuthMode::None && exposed && !self.server.allow_unauthenticated {
            let problem =
                format!("{} is open to others while auth.mode is \"none\"", self.server.listen);
            return Err(SettingsError::new("server.listen", SettingOrigin::Default, problem).allowed(
                "a loopback address, auth.mode = \"keys\", or server.allow_unauthenticated = true to let everybody in",
            ));
        }
        Ok(mode)
    }
}

pub(super) fn all(settings: &Settings, origins: &Origins, registered: &[&str]) -> Checked {
    let check = Check { origins, registered };
    check.server(settings)?;
    check.cards(&settings.cards)?;
    check.backends(settings)?;
    check.worker(settings)?;
    if let Err(error) = telemetry::parse_filter(&settings.log.filter) {
        let allowed = "a level (error, warn, info, debug, trace), or directives such as \"info,longhaul=debug\"";
        return check.refuse("log.filter", format!("cannot be understood: {error}"), allowed);
    }
    check.agents(&settings.agent)
}

struct Check<'a> {
    origins: &'a Origins,
    /// Names of executors that the program adds to the built-in ones.
    registered: &'a [&'a str],
}

impl Check<'_> {
    fn refuse(&self, key: &str, problem: impl Into<String>, allowed: &str) -> Checked {
        Err(SettingsError::new(key, self.origins.of(key), problem).allowed(allowed))
    }

    fn ensure(&self, good: bool, key: &str, problem: &str, allowed: &str) -> Checked {
        if good { Ok(()) } else { self.refuse(key, problem, allowed) }
    }

    fn positive(&self, key: &str, number: usize) -> Checked {
        self.ensure(number > 0, key, "is zero", "a whole number from 1")
    }

    fn count(&self, key: &str, number: u32) -> Checked {
        self.ensure(number > 0, key, "is zero", "a whole number from 1")
    }

    fn lasting(&self, key: &str, period: HumanDuration) -> Checked {
        self.ensure(!period.is_zero(), key, "is zero", "a length of time above zero")
    }

    fn url(&self, key: &str, url: Option<&Secret>, schemes: [&str; 2]) -> Checked {
        let Some(url) = url else { return Ok(()) };
        let good = schemes.iter().any(|scheme| {
            url.expose().strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"))
        });
        let allowed = format!("a URL that begins with {}:// or {}://", schemes[0], schemes[1]);
        self.ensure(good, key, "is not such a URL", &allowed)
    }

    fn server(&self, settings: &Settings) -> Checked {
        let server = &settings.server;
        self.positive("server.max_body_bytes", server.max_body_bytes)?;
        self.positive("server.max_answer_bytes", server.max_answer_bytes)?;
        self.positive("server.max_connections", server.max_connections)?;
        self.count("server.max_requests_per_connection", server.max_requests_per_connection)?;
        self.count("server.max_task_messages", server.max_task_messages)?;
        self.positive("server.max_task_bytes", server.max_task_bytes)?;
        self.count("server.max_queued", server.max_queued)?;
        self.count("server.max_queued_per_owner", server.max_queued_per_owner)?;
        self.lasting("server.max_queue_delay", server.max_queue_delay)?;
        self.lasting("server.keep_alive", server.keep_alive)?;
        if let Some(longest_wait) = server.longest_wait {
            self.lasting("server.longest_wait", longest_wait)?;
        }
        if let Some(url) = &server.public_url {
            let allowed = "a URL that begins with http:// or https://, without query, fragment and trailing slash";
            self.ensure(is_public_url(url), "server.public_url", "is not such a URL", allowed)?;
        }
        self.web(server)?;
        if let Some(name) = &server.default_agent {
            self.agent_name("server.default_agent", name)?;
        }
        Ok(())
    }

    fn backends(&self, settings: &Settings) -> Checked {
        self.url("database.url", settings.database.url.as_ref(), ["postgres", "postgresql"])?;
        self.count("database.max_connections", settings.database.max_connections)?;
        self.url("amqp.url", settings.amqp.url.as_ref(), ["amqp", "amqps"])?;
        let prefix = &settings.amqp.prefix;
        let good = !prefix.is_empty()
            && prefix.len() <= 63
            && prefix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        self.ensure(
            good,
            "amqp.prefix",
            "is not such a name",
            "letters, digits, dots, dashes and underscores, 1 to 63",
        )
    }

    fn worker(&self, settings: &Settings) -> Checked {
        let worker = &settings.worker;
        self.count("worker.concurrency", worker.concurrency)?;
        self.count("worker.max_losses", worker.max_losses)?;
        self.lasting("worker.probe_interval", worker.probe_interval)?;
        self.ensure(
            worker.lease >= HumanDuration::seconds(1),
            "worker.lease",
            "is too short",
            "a length of time from \"1s\"",
        )?;
        for (at, name) in worker.agents.iter().flatten().enumerate() {
            self.agent_name(&format!("worker.agents[{at}]"), name)?;
        }
        Ok(())
    }

    fn agents(&self, agents: &[AgentSettings]) -> Checked {
        let mut names = BTreeSet::new();
        for (at, agent) in agents.iter().enumerate() {
            let key = format!("agent[{at}]");
            self.agent_name(&format!("{key}.name"), &agent.name)?;
            if !names.insert(&agent.name) {
                let problem = format!("another agent is named {:?} too", agent.name);
                return self.refuse(
                    &format!("{key}.name"),
                    problem,
                    "a name of its own for each agent",
                );
            }
            self.agent(&key, agent)?;
        }
        Ok(())
    }

    fn agent_name(&self, key: &str, name: &str) -> Checked {
        if name.is_empty() {
            return self.refuse(key, "is missing or empty", NAME);
        }
        if RESERVED_AGENT_NAMES.contains(&name) {
            return self.refuse(
                key,
                format!("{name:?} is reserved"),
                &format!("any name but {}", RESERVED_AGENT_NAMES.join(", ")),
            );
        }
        self.ensure(is_agent_name(name), key, &format!("{name:?} is not such a name"), NAME)
    }

    fn executor_name(&self, key: &str, executor: &ExecutorName) -> Checked {
        let known: Vec<&str> = [ExecutorName::BUILT_IN, self.registered].concat();
        if known.contains(&executor.as_str()) {
            return Ok(());
        }
        let quoted: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        self.refuse(
            key,
            format!("there is no executor {executor:?}", executor = executor.as_str()),
            &quoted.join(", "),
        )
    }

    fn agent(&self, key: &str, agent: &AgentSettings) -> Checked {
        self.executor_name(&format!("{key}.executor"), &agent.executor)?;
        self.ensure(
            !agent.version.is_empty(),
            &format!("{key}.version"),
            "is empty",
            "text such as \"1.0.0\"",
        )?;
        self.lasting(&format!("{key}.timeout"), agent.timeout)?;
        self.count(&format!("{key}.max_attempts"), agent.max_attempts)?;
        if let Some(concurrency) = agent.concurrency {
            self.count(&format!("{key}.concurrency"), concurrency)?;
        }
        for (name, period) in [
            ("no_progress_timeout", agent.no_progress_timeout),
            ("queue_timeout", agent.queue_timeout),
            ("total_timeout", agent.total_timeout),
        ] {
            if let Some(period) = period {
                self.lasting(&format!("{key}.{name}"), period)?;
            }
        }
        self.retry(&format!("{key}.retry"), &agent.retry)?;
        self.limits(&format!("{key}.limits"), &agent.limits)?;
        self.skills(key, agent)?;
        self.extensions(key, agent)?;
        let process = format!("{key}.process");
        match (agent.executor == ExecutorName::PROCESS, &agent.process) {
            (true, Some(section)) => self.process(&process, section),
            (true, None) => self.refuse(
                &process,
                "is missing",
                "a section [agent.process] with the command of the program",
            ),
            (false, Some(_)) => {
                self.refuse(&process, "has no use here", "only with executor = \"process\"")
            }
            (false, None) => Ok(()),
        }
    }

    fn retry(&self, key: &str, retry: &RetrySettings) -> Checked {
        self.lasting(&format!("{key}.initial"), retry.initial)?;
        self.lasting(&format!("{key}.max"), retry.max)?;
        self.ensure(
            (1.0..=100.0).contains(&retry.factor),
            &format!("{key}.factor"),
            &format!("{} is not such a factor", retry.factor),
            "a number from 1 to 100",
        )
    }

    fn limits(&self, key: &str, limits: &LimitSettings) -> Checked {
        for (name, limit) in [
            ("running", limits.running),
            ("running_per_owner", limits.running_per_owner),
            ("running_per_key", limits.running_per_key),
            ("queued", limits.queued),
            ("queued_per_owner", limits.queued_per_owner),
        ] {
            if let Some(limit) = limit {
                self.count(&format!("{key}.{name}"), limit)?;
            }
        }
        Ok(())
    }

    fn skills(&self, key: &str, agent: &AgentSettings) -> Checked {
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

    fn extensions(&self, key: &str, agent: &AgentSettings) -> Checked {
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
                !uri.starts_with(OWN_EXTENSIONS),
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

    fn process(&self, key: &str, process: &ProcessSettings) -> Checked {
        let command = process.command.first().is_some_and(|program| !program.is_empty());
        self.ensure(
            command,
            &format!("{key}.command"),
            "names no program",
            "a list: the program and its arguments",
        )?;
        self.count(&format!("{key}.max_inflight"), process.max_inflight)?;
        self.lasting(&format!("{key}.start_timeout"), process.start_timeout)?;
        self.positive(&format!("{key}.max_line_bytes"), process.max_line_bytes)
    }
}

fn is_agent_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(inner)
        && name.bytes().all(|byte| inner(byte) || byte == b'-')
}

fn is_public_url(url: &str) -> bool {
    let place = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    place.is_some_and(|place| {
        !place.is_empty()
            && !place.starts_with(['/', ':'])
            && !place.ends_with('/')
            && !place.contains(['?', '#', '@'])
            && place.bytes().all(|byte| byte.is_ascii_graphic())
    })
}
