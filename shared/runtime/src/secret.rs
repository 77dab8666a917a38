//! Secrets, which must not appear in logs, errors or configuration dumps.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The text shown in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A value that prints and serialises as `[redacted]`; only [`Secret::expose`] returns it.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Pass it to its consumer, never to a log or error.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// Redacts the credentials in a URL: the password, a lone user name (it may be a token), and query
/// parameters whose names suggest a secret. Text that is no URL is redacted as a whole, because it
/// may hold a secret anywhere.
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return REDACTED.to_owned();
    };
    // A password may hold an unescaped `/`, `?` or `#`: treat everything up to the last `@` as
    // credentials.
    let (credentials, location) = match rest.rsplit_once('@') {
        Some((credentials, location)) => (Some(credentials), location),
        None => (None, rest),
    };
    let shown = match credentials {
        None => String::new(),
        Some(pair) => match pair.split_once(':') {
            // A separator in the user name means that the split hit the password: redact all of it.
            Some((user, _)) if !user.contains(['/', '?', '#', '@']) => {
                format!("{user}:{REDACTED}@")
            }
            _ => format!("{REDACTED}@"),
        },
    };
    format!("{scheme}://{shown}{}", redact_query(location))
}

fn redact_query(location: &str) -> String {
    let Some((path, query)) = location.split_once('?') else {
        return location.to_owned();
    };
    let shown: Vec<String> = query.split('&').map(redact_parameter).collect();
    format!("{path}?{}", shown.join("&"))
}

fn redact_parameter(parameter: &str) -> String {
    const SECRET_WORDS: [&str; 7] = ["pass", "pwd", "secret", "token", "key", "credential", "sig"];
    match parameter.split_once('=') {
        Some((name, _))
            if SECRET_WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word)) =>
        {
            format!("{name}={REDACTED}")
        }
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[redacted] [redacted] Some([redacted])"
        );
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
        let read: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(read.expose(), "hunter2");
    }

    #[test]
    fn a_redacted_url_shows_the_server_without_credentials() {
        for (url, shown) in [
            (
                "postgres://u:p@db:5432/lh?sslmode=require",
                "postgres://u:[redacted]@db:5432/lh?sslmode=require",
            ),
            ("postgres://db/lh?user=u&password=p", "postgres://db/lh?user=u&password=[redacted]"),
            ("amqp://broker:5672/%2f", "amqp://broker:5672/%2f"),
            ("amqp://u:p/a@s?s#@broker", "amqp://u:[redacted]@broker"),
            ("https://token@host/path", "https://[redacted]@host/path"),
            ("host=db password=p", "[redacted]"),
            ("", "[redacted]"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }

    proptest! {
        #[test]
        fn every_password_is_redacted(password in "Z[!-~]{0,20}Z") {
            let shown = redact_url(&format!("amqp://user:{password}@host/"));
            prop_assert_eq!(shown, "amqp://user:[redacted]@host/");
        }
    }
}
