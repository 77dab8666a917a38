//! What can go wrong between client and server, in one sentence.

use serde::Deserialize;
use serde_json::Value;

/// Task not found (A2A 5.4).
const TASK_NOT_FOUND: i64 = -32001;
/// The operation is not possible in this state (A2A 5.4).
const UNSUPPORTED: i64 = -32004;
/// A limit was reached.
const EXHAUSTED: i64 = -32052;
/// The store is unavailable.
const UNAVAILABLE: i64 = -32053;

/// Where a server sends its clients when it does not say.
pub(super) const UNKNOWN: &str = "an address that it does not say";

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or the connection broke.
    #[error("{url} cannot be reached: {cause}{}", reach_hint(.url, .cause))]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What went wrong.
        cause: String,
        /// Whether the request may have arrived.
        sent: bool,
    },
    /// The server answered an HTTP error without saying more.
    #[error("{url} answered HTTP {status}{hint}")]
    Http {
        /// Who.
        url: String,
        /// The status.
        status: u16,
        /// What it may mean.
        hint: &'static str,
    },
    /// The server sends its clients to another address, where nothing was sent.
    #[error(
        "{url} sends its clients on to {}, where nothing was sent; if that is the server that you mean, give its address with \
         --url", .to.as_deref().unwrap_or(UNKNOWN)
    )]
    Elsewhere {
        /// Who.
        url: String,
        /// Where to, if it says so.
        to: Option<String>,
    },
    /// The server refused.
    #[error("{}", .0.sentence())]
    Refused(Refusal),
    /// The server refused what an operator asked.
    #[error("the server refused: {}{hint}", .message.trim_end_matches('.'))]
    Denied {
        /// The HTTP status.
        status: u16,
        /// What the server says about it.
        message: String,
        /// What may help.
        hint: &'static str,
    },
    /// The answer cannot be understood.
    #[error("the answer of the server cannot be understood: {0}")]
    Unreadable(String),
}

/// An error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// Which error (A2A 5.4).
    pub code: i64,
    /// What the server says about it.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    data: Value,
}

/// What may help to reach a server.
fn reach_hint(url: &str, cause: &str) -> &'static str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let near = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    if cause.contains("Connection refused") && near {
        "; is a server running there? `longhaul dev` starts one"
    } else if cause.contains("InvalidContentType") && url.starts_with("https://") {
        "; what listens there does not speak TLS: use http://"
    } else if cause.contains("invalid HTTP version") && url.starts_with("http://") {
        "; what listens there may want TLS: try https://"
    } else {
        ""
    }
}

/// What may help who is not let in.
fn key_hint(said: &str) -> &'static str {
    if said.contains("not known") {
        "; it is the one in --api-key or LONGHAUL_API_KEY, `longhaul keys list` shows those that there are"
    } else {
        "; show an API key with --api-key or LONGHAUL_API_KEY"
    }
}

impl ClientError {
    /// Of an HTTP answer that says no more than its status.
    pub fn http(url: &str, status: u16) -> Self {
        let hint = match status {
            401 => key_hint(""),
            403 => "; the API key may not do this",
            404 | 405 => "; is this the address of an A2A server that speaks JSON-RPC?",
            _ => "",
        };
        Self::Http { url: url.to_owned(), status, hint }
    }

    /// Of an answer to an operator.
    pub fn operator(url: &str, status: u16, said: Option<String>) -> Self {
        let hint = match status {
            401 => key_hint(said.as_deref().unwrap_or_default()),
            // What is refused for its host says what to do itself.
            403 if said.as_deref().is_none_or(|said| said.contains("scope")) => {
                "; it takes an API key with the scope operator: longhaul keys create --owner NAME --scope operator"
            }
            404 | 405 if said.is_none() => {
                "; is this the address of a Longhaul server of this version?"
            }
            _ => "",
        };
        match said {
            Some(message) => Self::Denied { status, message, hint },
            None => Self::Http { url: url.to_owned(), status, hint },
        }
    }

    /// Of an answer to what is beside A2A.
    pub fn site(url: &str, status: u16, said: Option<String>) -> Self {
        match said {
            // A server that knows no such address says so in words for clients of A2A.
            Some(message) if status != 404 || !message.contains("nothing at this address") => {
                let hint = if status == 401 { key_hint(&message) } else { "" };
                Self::Denied { status, message, hint }
            }
            _ => Self::http(url, status),
        }
    }

    /// Whether trying again may help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Http { status, .. } | Self::Denied { status, .. } => {
                matches!(status, 429 | 502..=504)
            }
            Self::Refused(refusal) => matches!(refusal.code, EXHAUSTED | UNAVAILABLE),
            Self::Elsewhere { .. } | Self::Unreadable(_) => false,
        }
    }

    /// Whether the request may have had an effect although its answer did not come.
    pub const fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Unreachable { sent: true, .. } | Self::Http { status: 502 | 504, .. })
    }

    /// Whether the server says that there is nothing to subscribe to, because the task has ended.
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == UNSUPPORTED)
    }
}

impl Refusal {
    /// What the server says, with the fields that it complains about.
    fn sentence(&self) -> String {
        let hint = match self.code {
            -32050 => key_hint(&self.message),
            TASK_NOT_FOUND => "; `longhaul tasks list` shows those that there are",
            _ => "",
        };
        let violations = self.violations();
        let fields = if violations.is_empty() {
            String::new()
        } else {
            format!(": {}", violations.join("; "))
        };
        let message = self.message.trim_end_matches('.');
        format!("the server refused: {message}{fields} (code {}){hint}", self.code)
    }

    /// The field violations of `google.rpc.BadRequest`, wherever in the data they stand.
    fn violations(&self) -> Vec<String> {
        let details = match &self.data {
            Value::Array(details) => details.iter().collect(),
            Value::Object(object) => match object.get("details") {
                Some(Value::Array(details)) => details.iter().collect(),
                _ => vec![&self.data],
            },
            _ => Vec::new(),
        };
        let lists = details.into_iter().filter_map(|detail| detail["fieldViolations"].as_array());
        lists
            .flatten()
            .map(|violation| {
                let text = |name: &str| violation[name].as_str().unwrap_or_default();
                format!("{} {}", text("field"), text("description")).trim().to_owned()
            })
            .filter(|violation| !violation.is_empty() && !self.message.contains(violation.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(error: Value) -> ClientError {
        ClientError::Refused(serde_json::from_value(error).unwrap())
    }

    #[test]
    fn a_refusal_is_one_sentence_with_its_violations() {
        let error = refused(json!({"code": -32602, "message": "Invalid parameters.", "data": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                {"field": "message.parts[0].text", "description": "is missing"},
                {"field": "message.role", "description": "must be ROLE_USER"},
            ]},
        ]}));
        assert_eq!(
            error.to_string(),
            "the server refused: Invalid parameters: message.parts[0].text is missing; \
             message.role must be ROLE_USER (code -32602)"
        );
    }

    #[test]
    fn errors_without_data_are_sentences_too() {
        let error = refused(json!({"code": -32001, "message": "Task not found"}));
        assert_eq!(
            error.to_string(),
            "the server refused: Task not found (code -32001); `longhaul tasks list` shows those that there are"
        );
        assert!(ClientError::http("http://a", 401).to_string().contains("LONGHAUL_API_KEY"));
    }

    #[test]
    fn a_server_that_cannot_be_reached_comes_with_a_hint() {
        let said = |url: &str, cause: &str| {
            let (url, cause) = (url.to_owned(), cause.to_owned());
            ClientError::Unreachable { url, cause, sent: false }.to_string()
        };
        let refused = "Connection refused (os error 111)";
        assert!(said("http://127.0.0.1:8080/", refused).contains("`longhaul dev` starts one"));
        assert!(!said("https://agents.example.com/", refused).contains("dev"));
        let tls = "received corrupt message of type InvalidContentType";
        assert!(said("https://127.0.0.1:8080/", tls).contains("use http://"));
    }

    #[test]
    fn a_wrong_key_reads_differently_from_none() {
        let none = refused(json!({"code": -32050, "message": "Authentication is required."}));
        assert!(none.to_string().contains("show an API key"), "{none}");
        let wrong = refused(json!({"code": -32050, "message": "The API key is not known."}));
        assert!(!wrong.to_string().contains("show an API key"), "{wrong}");
        assert!(wrong.to_string().contains("longhaul keys list"), "{wrong}");
    }

    #[test]
    fn an_operator_is_told_what_is_missing() {
        let said = |status, said: Option<&str>| {
            ClientError::operator("http://a", status, said.map(str::to_owned)).to_string()
        };
        let lacks = said(403, Some("The API key lacks the scope operator. Use a key that has it"));
        assert!(lacks.contains("it takes an API key with the scope operator"), "{lacks}");
        let foreign = said(403, Some("a.example is not a name of this server"));
        assert_eq!(foreign, "the server refused: a.example is not a name of this server");
        assert_eq!(said(404, Some("no such schedule")), "the server refused: no such schedule");
        assert!(said(404, None).contains("a Longhaul server"));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(ClientError::http("http://a", 503).is_transient());
        assert!(refused(json!({"code": -32053, "message": ""})).is_transient());
        assert!(!refused(json!({"code": -32602, "message": ""})).is_transient());
        assert!(!ClientError::http("http://a", 401).is_transient());
    }
}
