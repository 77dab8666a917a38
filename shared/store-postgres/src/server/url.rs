//! Parses the database's URL.
//!
//! The driver accepts one host per URL. Here a URL may name several
//! (`postgres://u@h1:5432,h2:5433/db`), IPv6 addresses, and sockets
//! (`postgres://u@/db?host=/run/postgresql`); each host gets separate connect options. Errors never
//! contain the URL's secrets.

use crate::error::{DbError, DbResult};
use longhaul_runtime::{Secret, redact_url};
use sqlx_core::{Url, percent_encoding::percent_decode_str};
use sqlx_postgres::PgConnectOptions;
use std::{fmt::Write, fs::File, net::Ipv6Addr, str::FromStr};

/// Most hosts in one URL. A search for the primary tries each.
const MAX_HOSTS: usize = 16;

/// Values of `target_session_attrs` that a writable server satisfies.
const WRITABLE_SESSION_ATTRS: [&str; 3] = ["any", "read-write", "primary"];

type UrlParameters = Vec<(String, String)>;

/// Parses the URL into connect options for each host, in order; at least one.
pub fn parse(url: &Secret<String>) -> DbResult<Vec<PgConnectOptions>> {
    parse_url(url.expose()).map_err(|problem| {
        DbError::Denied(format!(
            "{} is no Postgres address: {problem}; it should look like postgres://user:password@host:5432/database, \
             with special characters of user and password percent-encoded",
            redact_url(url.expose())
        ))
    })
}

/// A host as written in the list.
#[derive(Default)]
struct HostPort {
    name: String,
    port: Option<u16>,
}

fn parse_url(url: &str) -> Result<Vec<PgConnectOptions>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err("its scheme is not postgres".to_owned());
    }
    // The driver rejects a list of hosts, so split it off before parsing.
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (credentials, host_list) = authority.rsplit_once('@').unwrap_or(("", authority));
    let base = Url::parse(&format!("postgres://localhost{tail}")).map_err(|e| e.to_string())?;
    let pairs = base.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
    let (own_parameters, mut driver_parameters): (UrlParameters, UrlParameters) =
        pairs.partition(|(name, _)| is_own_parameter(name));
    if let Some((name, value)) = unusable_parameter(&own_parameters) {
        return Err(format!(
            "{name}={value}: Longhaul writes to the database; allowed: {}",
            WRITABLE_SESSION_ATTRS.join(", ")
        ));
    }
    if let Some((name, file)) = driver_parameters.iter().find(|pair| is_missing_file(pair)) {
        return Err(format!("{name}={file}: there is no such file that can be read"));
    }
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    for (name, value) in [("user", user), ("password", password)] {
        if !value.is_empty() {
            driver_parameters.push((name.to_owned(), percent_decoded(value)?));
        }
    }
    let hosts = hosts(host_list, &own_parameters)?;
    if hosts.len() > MAX_HOSTS {
        return Err(format!("it names {} hosts; at most {MAX_HOSTS} are tried", hosts.len()));
    }
    hosts.into_iter().map(|host| host_options(&host, base.path(), &driver_parameters)).collect()
}

/// Returns whether a parameter is read here and not by the driver.
fn is_own_parameter(name: &str) -> bool {
    matches!(name, "host" | "port" | "target_session_attrs")
}

/// Returns whether a parameter names a key or certificate file that cannot be opened. The driver's
/// error does not distinguish that from a missing socket.
fn is_missing_file((name, file): &(String, String)) -> bool {
    matches!(name.as_str(), "sslrootcert" | "sslcert" | "sslkey") && File::open(file).is_err()
}

/// Finds a parameter that asks for a read-only server.
fn unusable_parameter(pairs: &UrlParameters) -> Option<&(String, String)> {
    pairs.iter().find(|(name, value)| {
        name == "target_session_attrs" && !WRITABLE_SESSION_ATTRS.contains(&value.as_str())
    })
}

/// Lists the hosts of the authority, or those of the parameters `host` and `port`, which take
/// precedence.
fn hosts(host_list: &str, pairs: &UrlParameters) -> Result<Vec<HostPort>, String> {
    let mut hosts = host_list.split(',').map(parse_host).collect::<Result<Vec<_>, _>>()?;
    for (name, value) in pairs {
        match name.as_str() {
            "host" => {
                let ports: Vec<_> = hosts.iter().map(|host| host.port).collect();
                let named = value.split(',').enumerate().map(|(at, name)| HostPort {
                    name: unbracketed(name).to_owned(),
                    port: *ports.get(at).or(ports.first()).unwrap_or(&None),
                });
                hosts = named.collect();
            }
            "port" => {
                let ports = value
                    .split(',')
                    .map(parse_port)
                    .collect::<Result<Vec<Option<u16>>, String>>()?;
                // A single port applies to all hosts.
                for (at, host) in hosts.iter_mut().enumerate() {
                    host.port = *ports.get(at).or(ports.first()).unwrap_or(&None);
                }
            }
            _ => {}
        }
    }
    Ok(hosts)
}

fn parse_host(text: &str) -> Result<HostPort, String> {
    if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let number =
            if rest.is_empty() { None } else { parse_port(rest.strip_prefix(':').unwrap_or("?"))? };
        return Ok(HostPort { name: name.to_owned(), port: number });
    }
    let (name, number) = text.rsplit_once(':').unwrap_or((text, ""));
    if name.contains(':') {
        return Err("an IPv6 address stands in brackets, as in [::1]:5432".to_owned());
    }
    Ok(HostPort { name: percent_decoded(name)?, port: parse_port(number)? })
}

fn parse_port(number: &str) -> Result<Option<u16>, String> {
    if number.is_empty() {
        return Ok(None);
    }
    number.parse().map(Some).map_err(|_| "a port is a number from 1 to 65535".to_owned())
}

fn unbracketed(name: &str) -> &str {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| "it is not UTF-8".to_owned())
}

/// Host or socket with port, without secrets.
pub fn host_port(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(socket) => format!("{}:{port}", socket.display()),
        None if options.get_host().contains(':') => format!("[{}]:{port}", options.get_host()),
        None => format!("{}:{port}", options.get_host()),
    }
}

/// Builds connect options for one host.
///
/// The host name is part of the URL that the driver reads, because the driver looks up passwords by
/// it (`.pgpass`).
fn host_options(
    host: &HostPort,
    path: &str,
    driver_parameters: &UrlParameters,
) -> Result<PgConnectOptions, String> {
    let in_authority = !host.name.is_empty() && !host.name.starts_with('/');
    let is_ipv6 = host.name.parse::<Ipv6Addr>().is_ok();
    let mut url = "postgres://".to_owned();
    let written = if in_authority && is_ipv6 {
        write!(url, "[{}]", host.name)
    } else if in_authority {
        write!(url, "{}", host.name)
    } else {
        Ok(())
    };
    written.map_err(|error| error.to_string())?;
    let mut url = Url::parse(&(url + path)).map_err(|error| error.to_string())?;
    if !driver_parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(driver_parameters);
    }
    let options = PgConnectOptions::from_str(url.as_str());
    let mut options = options
        .map_err(|_| "a parameter cannot be understood".to_owned())?
        .application_name("longhaul");
    if let Some(port) = host.port {
        options = options.port(port);
    }
    if host.name.starts_with('/') {
        options = options.socket(&host.name);
    } else if is_ipv6 {
        // The driver would resolve the brackets as part of the name.
        options = options.host(&host.name);
    }
    // Poolers reject this parameter, and every supported server is exact by default.
    Ok(options.extra_float_digits(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_list(url: &str) -> Vec<String> {
        let all = parse(&Secret::new(url.to_owned())).unwrap();
        all.iter().map(host_port).collect()
    }

    fn problem(url: &str) -> String {
        match parse(&Secret::new(url.to_owned())) {
            Err(DbError::Denied(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_host_of_a_url_is_found() {
        for (url, expected) in [
            ("postgres://u:p@h/d", "h:5432"),
            ("postgres://u@h1:5433,h2:5434/d?target_session_attrs=primary", "h1:5433 h2:5434"),
            ("postgresql://h1,h2:5434", "h1:5432 h2:5434"),
            ("postgres://u@[::1]:5433,[fe80::2]/d", "[::1]:5433 [fe80::2]:5432"),
            ("postgres://u:pw@/d?host=/run/pg&port=5433", "/run/pg:5433"),
            ("postgres://u@%2Frun%2Fpg/d", "/run/pg:5432"),
            ("postgres:///d?host=h1,h2&port=1,2", "h1:1 h2:2"),
            ("postgres:///d?host=h1,::1&port=7", "h1:7 [::1]:7"),
        ] {
            assert_eq!(host_list(url).join(" "), expected, "{url}");
        }
    }

    #[test]
    fn credentials_and_parameters_reach_each_host() {
        let url =
            "postgres://a%40b:x%2Fy%3A%2B@h1,[::1]/my%20db?sslmode=require&application_name=mine";
        for options in parse(&Secret::new(url.to_owned())).unwrap() {
            assert_eq!(options.get_username(), "a@b");
            assert_eq!(options.get_database(), Some("my db"));
            assert!(format!("{:?}", options.get_ssl_mode()).contains("Require"));
            assert!(format!("{options:?}").contains("x/y:+"));
        }
    }

    #[test]
    fn an_unusable_address_is_explained_without_its_password() {
        for (url, says) in [
            ("mysql://u:hunter2@h/db", "scheme"),
            ("postgres://u:hunter2@h:nonsense/db", "a port is a number"),
            ("postgres://u:hunter2@::1/db", "in brackets"),
            ("postgres://u:hunter2@h/db?target_session_attrs=standby", "read-write"),
            ("postgres://u:hun/ter2@h/db", "percent-encoded"),
            ("postgres://u:hunter2@h/db?sslmode=maybe", "parameter"),
            ("postgres://u:hunter2@h/db?sslrootcert=/no/such.pem", "no such file"),
        ] {
            let problem = problem(url);
            assert!(problem.contains(says), "{url}: {problem}");
            assert!(!problem.contains("ter2"), "{problem}");
        }
    }
}
