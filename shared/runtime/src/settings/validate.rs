//! Checks that types cannot express: limits, names, and keys that depend on one another.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    check::{Validated, Validator},
    error::{KeyOrigins, SettingOrigin, SettingsError},
    sections::{AgentCardSettings, AuthMode, ServerSettings, Settings},
    values::HumanDuration,
};
use crate::{secret::Secret, telemetry};

/// The allowed hosts, for errors.
const ALLOWED_HOST: &str =
    "a host name, with a port perhaps, such as \"agents.internal\" or \"agents.internal:8080\"";
/// The allowed origins, for errors.
const ALLOWED_ORIGIN: &str = "\"*\", or an origin without a path and a slash at the end, such as \"https://app.example.com\"";
/// The allowed addresses of proxies, for errors.
const ALLOWED_NETWORK: &str = "an address, or a network such as \"10.0.0.0/8\" or \"fd00::/8\"";

impl Settings {
    /// Checks settings that code created or changed. [`Settings::load`] checks its own result.
    pub fn validate(&self) -> Result<(), SettingsError> {
        all(self, &KeyOrigins::default(), &[])
    }

    /// The authentication mode, with the command's default. An error when it would leave an address
    /// other than loopback open to everyone without `server.allow_unauthenticated`.
    pub fn auth_mode(&self, when_absent: AuthMode) -> Result<AuthMode, SettingsError> {
        let mode = self.auth.mode.unwrap_or(when_absent);
        // Canonical: an IPv4-mapped loopback address is loopback too.
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

/// Checks all sections; the error is the first problem found.
pub(super) fn all(settings: &Settings, origins: &KeyOrigins, registered: &[&str]) -> Validated {
    let validator = Validator { origins, registered };
    validator.server(settings)?;
    validator.cards(&settings.cards)?;
    validator.backends(settings)?;
    validator.worker(settings)?;
    if let Err(error) = telemetry::parse_filter(&settings.log.filter) {
        let allowed = "a level (error, warn, info, debug, trace), or directives such as \"info,longhaul=debug\"";
        return validator.reject("log.filter", format!("cannot be understood: {error}"), allowed);
    }
    validator.agents(&settings.agent)
}

impl Validator<'_> {
    fn url(&self, key: &str, url: Option<&Secret>, schemes: [&str; 2]) -> Validated {
        let Some(url) = url else { return Ok(()) };
        let good = schemes.iter().any(|scheme| {
            url.expose().strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"))
        });
        let allowed = format!("a URL that begins with {}:// or {}://", schemes[0], schemes[1]);
        self.ensure(good, key, "is not such a URL", &allowed)
    }

    fn server(&self, settings: &Settings) -> Validated {
        let server = &settings.server;
        self.positive("server.max_body_bytes", server.max_body_bytes)?;
        self.positive("server.max_answer_bytes", server.max_answer_bytes)?;
        self.positive("server.max_connections", server.max_connections)?;
        self.positive_u32(
            "server.max_requests_per_connection",
            server.max_requests_per_connection,
        )?;
        self.positive_u32("server.max_task_messages", server.max_task_messages)?;
        self.positive("server.max_task_bytes", server.max_task_bytes)?;
        self.positive_u32("server.max_queued", server.max_queued)?;
        self.positive_u32("server.max_queued_per_owner", server.max_queued_per_owner)?;
        self.positive_duration("server.max_queue_delay", server.max_queue_delay)?;
        self.positive_duration("server.keep_alive", server.keep_alive)?;
        if let Some(longest_wait) = server.longest_wait {
            self.positive_duration("server.longest_wait", longest_wait)?;
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

    fn backends(&self, settings: &Settings) -> Validated {
        self.url("database.url", settings.database.url.as_ref(), ["postgres", "postgresql"])?;
        self.positive_u32("database.max_connections", settings.database.max_connections)?;
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

    fn worker(&self, settings: &Settings) -> Validated {
        let worker = &settings.worker;
        self.positive_u32("worker.concurrency", worker.concurrency)?;
        self.positive_u32("worker.max_losses", worker.max_losses)?;
        self.positive_duration("worker.probe_interval", worker.probe_interval)?;
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

    fn web(&self, server: &ServerSettings) -> Validated {
        for (at, host) in server.allowed_hosts.iter().enumerate() {
            let key = format!("server.allowed_hosts[{at}]");
            self.ensure(
                is_host(host),
                &key,
                &format!("{host:?} is not such a host"),
                ALLOWED_HOST,
            )?;
        }
        for (at, network) in server.trusted_proxies.iter().enumerate() {
            let key = format!("server.trusted_proxies[{at}]");
            let problem = format!("{network:?} is not such an address");
            self.ensure(parse_network(network).is_some(), &key, &problem, ALLOWED_NETWORK)?;
        }
        for (at, origin) in server.cors_origins.iter().enumerate() {
            let key = format!("server.cors_origins[{at}]");
            let good = origin == "*" || is_origin(origin);
            self.ensure(good, &key, &format!("{origin:?} is not such an origin"), ALLOWED_ORIGIN)?;
        }
        Ok(())
    }

    fn cards(&self, cards: &AgentCardSettings) -> Validated {
        for (key, paths) in
            [("signing_keys", &cards.signing_keys), ("published_keys", &cards.published_keys)]
        {
            for (at, path) in paths.iter().enumerate() {
                let key = format!("cards.{key}[{at}]");
                self.ensure(!path.is_empty(), &key, "is empty", "the path of a PEM file")?;
            }
        }
        self.about(cards)?;
        match &cards.jku {
            Some(url) => self.ensure(
                is_public_url(url),
                "cards.jku",
                "is not such a URL",
                "a URL that begins with http:// or https://, without query and fragment",
            ),
            None => Ok(()),
        }
    }

    /// Checks the provider, which has both a name and a website (A2A 4.4.2), and the URLs of pages.
    fn about(&self, cards: &AgentCardSettings) -> Validated {
        let (name, site) = (cards.provider.as_deref(), cards.provider_url.as_ref());
        let named = name.is_some_and(|name| !name.trim().is_empty());
        self.ensure(
            name.is_none() || named,
            "cards.provider",
            "is empty",
            "the name of who runs it",
        )?;
        let alone = "needs the other of the two";
        let both = "cards.provider together with cards.provider_url";
        self.ensure(name.is_none() || site.is_some(), "cards.provider", alone, both)?;
        self.ensure(site.is_none() || named, "cards.provider_url", alone, both)?;
        for (key, url) in [
            ("cards.provider_url", &cards.provider_url),
            ("cards.documentation_url", &cards.documentation_url),
            ("cards.icon_url", &cards.icon_url),
        ] {
            let good = url.as_deref().is_none_or(is_web_url);
            let allowed = "a URL that begins with http:// or https://";
            self.ensure(good, key, "is not such a URL", allowed)?;
        }
        Ok(())
    }
}

/// Parses an IP address or a network.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()))
}

/// Tells whether a text is a host name or address (IPv6 in brackets), with or without a port.
fn is_host(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_name, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (!name.is_empty() && !name.starts_with('.') && name.bytes().all(inner), port)
    };
    let number = port.strip_prefix(':').map(str::parse::<u16>);
    is_name && (port.is_empty() || matches!(number, Some(Ok(1..))))
}

/// Tells whether a text is a scheme, `://` and a host, the form in which browsers send origins.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !scheme.is_empty() && scheme.bytes().all(letters) && is_host(host)
}

fn is_public_url(url: &str) -> bool {
    let place = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    place.is_some_and(|place| {
        !place.is_empty()
            && !place.starts_with(['/', ':'])
            && !place.ends_with('/')
            // Paths are appended to it, and it is public: no query, fragment or credentials.
            && !place.contains(['?', '#', '@'])
            && place.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// Tells whether a text is a URL that browsers can open.
fn is_web_url(url: &str) -> bool {
    let place = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    place.is_some_and(|place| {
        !place.is_empty()
            && !place.starts_with(['/', ':', '?', '#'])
            && place.bytes().all(|byte| byte.is_ascii_graphic())
    })
}
