//! Parsing of ports, URLs and durations.

use std::time::Duration;

/// Parts of `scheme://user:password@host:port/path`.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    pub scheme: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub path: &'a str,
}

impl<'a> Url<'a> {
    /// Parses a URL; user and password are optional.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, place) = place.split_once('@').unwrap_or(("", place));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = place.split_once(':')?;
        Some(Self { scheme, user, password, host, port: port.parse().ok()?, path })
    }
}

/// The port after the last colon.
pub fn port(text: &str) -> Option<u16> {
    text.rsplit(':').next()?.parse().ok()
}

/// A duration such as `45s`, `2m`, `1m30s`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|letter: char| letter.is_ascii_digit());
        let (unit, after) = rest[digits..].split_at(unit.unwrap_or(rest.len() - digits));
        total += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            "h" => Duration::from_secs(number * 3_600),
            _ => return None,
        };
        rest = after;
    }
    Some(total)
}

#[test]
fn urls_are_taken_apart() {
    let url = Url::parse("amqp://me:secret@broker:5672/%2f").unwrap();
    let parts = (url.scheme, url.user, url.password, url.host, url.port, url.path);
    assert_eq!(parts, ("amqp", "me", "secret", "broker", 5672, "/%2f"));
    assert_eq!(Url::parse("http://127.0.0.1:8080/healthz").unwrap().path, "/healthz");
    assert_eq!(Url::parse("http://api"), None);
}

#[test]
fn lengths_of_time_are_read() {
    assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
    assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
    assert_eq!((duration("45"), duration("soon")), (None, None));
}
