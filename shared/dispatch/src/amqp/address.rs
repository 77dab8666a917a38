//! Reads the broker's URL.
//!
//! Guarantee: credentials go to the host that the URL names and nowhere else. The client's own reader takes an IPv6 address,
//! and a host that is missing, for localhost. An error never shows the URL's secrets.

use std::{fs::File, path::PathBuf};

use lapin::uri::AMQPUri;
use longhaul_runtime::{Secret, redact_url};
use url::{Host, Url};

use crate::DispatchError;

/// The parameter with the file of certificates (PEM) that may vouch for the broker, beside those of the system.
const CA_FILE: &str = "cacertfile";

/// A broker and how to log in to it.
pub(super) struct BrokerAddress {
    pub(super) uri: AMQPUri,
    pub(super) ca_file: Option<PathBuf>,
}

/// Reads a URL, or says what is wrong with it.
pub(super) fn parse(url: &Secret) -> Result<BrokerAddress, DispatchError> {
    read(url.expose()).map_err(|problem| {
        DispatchError::BadAddress(format!(
            "{}: {problem}; it should look like amqp://user:password@host:5672/vhost, with special characters \
             percent-encoded (the virtual host / is %2f)",
            redact_url(url.expose())
        ))
    })
}

fn read(text: &str) -> Result<BrokerAddress, String> {
    // These errors are fixed sentences. What the client's reader says may quote the password, so it is not passed on.
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let mut uri: AMQPUri = text.parse().map_err(|_| "it cannot be understood".to_owned())?;
    match url.host() {
        Some(Host::Ipv6(address)) => uri.authority.host = address.to_string(),
        Some(_) if !uri.authority.host.is_empty() => {}
        _ => return Err("it names no host".to_owned()),
    }
    let ca_file = url.query_pairs().find(|(name, _)| name == CA_FILE);
    let ca_file = ca_file.map(|(_, file)| PathBuf::from(file.as_ref()));
    if let Some(file) = &ca_file
        && let Err(error) = File::open(file)
    {
        return Err(format!("{CA_FILE}={} cannot be read: {error}", file.display()));
    }
    Ok(BrokerAddress { uri, ca_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> BrokerAddress {
        parse(&url.to_owned().into()).unwrap()
    }

    #[test]
    fn credentials_go_to_the_host_that_is_named() {
        for (url, host, port) in [
            ("amqp://u:p@[2001:db8::1]:5673", "2001:db8::1", 5673),
            ("amqps://u:p@[::1]/v", "::1", 5671),
            ("amqp://u:p@10.1.2.3/v", "10.1.2.3", 5672),
            ("amqp://u:p@broker.internal", "broker.internal", 5672),
        ] {
            let authority = parsed(url).uri.authority;
            assert_eq!((authority.host.as_str(), authority.port), (host, port), "{url}");
        }
    }

    #[test]
    fn names_passwords_and_virtual_hosts_may_hold_anything() {
        let uri = parsed("amqp://a%40b%3Ac:p%2Fw%3A%23%3F%25%C3%BC@h/team%20a%2F%C3%BC").uri;
        assert_eq!(uri.authority.userinfo.username, "a@b:c");
        assert_eq!(uri.authority.userinfo.password, "p/w:#?%ü");
        assert_eq!(uri.vhost, "team a/ü");
        assert_eq!(parsed("amqp://h").uri.vhost, "/");
        assert_eq!(parsed("amqp://h/%2f").uri.vhost, "/");
    }

    #[test]
    fn an_address_that_cannot_be_used_says_why_without_its_password() {
        for (url, says) in [
            ("http://user:hunter2@host/", "cannot be understood"),
            ("amqp://user:hunter2@::1:5672/", "empty host"),
            ("amqp://user:hun/ter2@host/", "percent-encoded"),
            ("amqp:///vhost", "no host"),
            ("amqps://user:hunter2@host/?cacertfile=/no/such.pem", "/no/such.pem cannot be read"),
        ] {
            let Err(error) = parse(&url.to_owned().into()) else { panic!("{url} is read") };
            let said = error.to_string();
            assert!(said.contains(says), "{url}: {said}");
            assert!(!said.contains("ter2"), "{said}");
        }
    }
}
