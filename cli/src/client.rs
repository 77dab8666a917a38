//! Clients from flags, and their errors as sentences with a hint.

use crate::{
    args::{DeploymentArgs, ServerArgs},
    exit::CommandError,
};
use longhaul_client::{A2aClient, ApiKind, ClientBuilder, ClientError, OperatorClient, RpcError};
use longhaul_wire::WireError;

/// Unauthenticated, of Longhaul servers.
const UNAUTHENTICATED: i64 = -32050;
/// Task not found (A2A 5.4).
const TASK_NOT_FOUND: i64 = -32001;

/// Builds a client of the server and agent that the flags name.
pub fn a2a_client(server: &ServerArgs) -> Result<A2aClient, CommandError> {
    Ok(builder(server).build()?)
}

/// Builds the same client; it asks for run reports too.
pub fn reporting_client(server: &ServerArgs) -> Result<A2aClient, CommandError> {
    Ok(builder(server).run_reports().build()?)
}

/// Builds a client of the operator API of the deployment that the flags name.
pub fn operator_client(deployment: &DeploymentArgs) -> Result<OperatorClient, CommandError> {
    let mut builder = OperatorClient::builder(&deployment.url);
    if let Some(key) = &deployment.api_key {
        builder = builder.api_key(key);
    }
    Ok(builder.build_operator()?)
}

fn builder(server: &ServerArgs) -> ClientBuilder {
    let mut builder = A2aClient::builder(&server.url);
    if let Some(agent) = &server.agent {
        builder = builder.agent(agent);
    }
    if let Some(key) = &server.api_key {
        builder = builder.api_key(key);
    }
    builder
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        match error {
            // These are found before anything is sent, and are mistakes in the command line.
            ClientError::InvalidUrl { .. } => Self::usage(format!("--url: {error}")),
            ClientError::InvalidName(_) => Self::usage(error.to_string()),
            error => Self::failed(explain(&error)),
        }
    }
}

/// An answer that is not what A2A says.
pub fn unreadable(error: &WireError) -> ClientError {
    ClientError::Unreadable(error.to_string())
}

/// Explains an error, with a hint on what may help.
pub fn explain(error: &ClientError) -> String {
    format!("{error}{}", hint(error))
}

fn hint(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable { url, cause, .. } => reach_hint(url, cause),
        ClientError::Redirected { .. } => {
            "; if that is the server that you mean, give its address with --url"
        }
        ClientError::Rpc(RpcError { code: UNAUTHENTICATED, message, .. }) => key_hint(message),
        ClientError::Rpc(RpcError { code: TASK_NOT_FOUND, .. }) => {
            "; `longhaul tasks list` shows those that there are"
        }
        ClientError::Http { status, api, .. } => http_hint(*api, *status, None),
        ClientError::Denied { status, message, api, .. } => http_hint(*api, *status, Some(message)),
        _ => "",
    }
}

/// Hints at the cause of a failed connection.
fn reach_hint(url: &str, cause: &str) -> &'static str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let is_local = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    if cause.contains("Connection refused") && is_local {
        "; is a server running there? `longhaul dev` starts one"
    } else if cause.contains("InvalidContentType") && url.starts_with("https://") {
        "; what listens there does not speak TLS: use http://"
    } else if cause.contains("invalid HTTP version") && url.starts_with("http://") {
        "; what listens there may want TLS: try https://"
    } else {
        ""
    }
}

/// Hints at the API key; the server's message tells a wrong key from none.
fn key_hint(message: &str) -> &'static str {
    if message.contains("not known") {
        "; it is the one in --api-key or LONGHAUL_API_KEY, `longhaul keys list` shows those that there are"
    } else {
        "; show an API key with --api-key or LONGHAUL_API_KEY"
    }
}

fn http_hint(api: ApiKind, status: u16, message: Option<&str>) -> &'static str {
    match (api, status, message) {
        (ApiKind::Document, ..) => "",
        (_, 401, message) => key_hint(message.unwrap_or_default()),
        // A refusal of the host name says itself what to do.
        (ApiKind::Operator, 403, message) if message.is_none_or(|text| text.contains("scope")) => {
            "; it takes an API key with the scope operator: longhaul keys create --owner NAME --scope operator"
        }
        (ApiKind::Operator, 404 | 405, None) => {
            "; is this the address of a Longhaul server of this version?"
        }
        (ApiKind::A2a | ApiKind::Native, 403, None) => "; the API key may not do this",
        (ApiKind::A2a | ApiKind::Native, 404 | 405, None) => {
            "; is this the address of an A2A server that speaks JSON-RPC?"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rpc_error(error: Value) -> ClientError {
        ClientError::Rpc(serde_json::from_value(error).unwrap())
    }

    #[test]
    fn an_unknown_task_comes_with_a_hint() {
        let error = rpc_error(json!({"code": -32001, "message": "Task not found"}));
        assert_eq!(
            explain(&error),
            "the server refused: Task not found (code -32001); `longhaul tasks list` shows those that there are"
        );
        let http = ClientError::Http { url: "http://a".to_owned(), status: 401, api: ApiKind::A2a };
        assert!(explain(&http).contains("LONGHAUL_API_KEY"));
    }

    #[test]
    fn an_unreachable_server_comes_with_a_hint() {
        let explained = |url: &str, cause: &str| {
            let (url, cause) = (url.to_owned(), cause.to_owned());
            explain(&ClientError::Unreachable { url, cause, sent: false })
        };
        let refused = "Connection refused (os error 111)";
        assert!(explained("http://127.0.0.1:8080/", refused).contains("`longhaul dev` starts one"));
        assert!(!explained("https://agents.example.com/", refused).contains("dev"));
        let tls = "received corrupt message of type InvalidContentType";
        assert!(explained("https://127.0.0.1:8080/", tls).contains("use http://"));
    }

    #[test]
    fn a_wrong_key_and_a_missing_key_have_different_hints() {
        let missing = rpc_error(json!({"code": -32050, "message": "Authentication is required."}));
        assert!(explain(&missing).contains("show an API key"), "{missing}");
        let wrong = rpc_error(json!({"code": -32050, "message": "The API key is not known."}));
        assert!(!explain(&wrong).contains("show an API key"), "{wrong}");
        assert!(explain(&wrong).contains("longhaul keys list"), "{wrong}");
    }

    #[test]
    fn an_operator_without_the_scope_is_told_so() {
        let explained = |status, message: Option<&str>| {
            let (url, api) = ("http://a".to_owned(), ApiKind::Operator);
            explain(&match message {
                Some(message) => {
                    ClientError::Denied { url, status, message: message.to_owned(), api }
                }
                None => ClientError::Http { url, status, api },
            })
        };
        let lacks =
            explained(403, Some("The API key lacks the scope operator. Use a key that has it"));
        assert!(lacks.contains("it takes an API key with the scope operator"), "{lacks}");
        let foreign = explained(403, Some("a.example is not a name of this server"));
        assert_eq!(foreign, "the server refused: a.example is not a name of this server");
        let unknown = explained(404, Some("no such schedule"));
        assert_eq!(unknown, "the server refused: no such schedule");
        assert!(explained(404, None).contains("a Longhaul server"));
    }

    #[test]
    fn a_bad_address_is_wrong_usage() {
        for url in ["localhost:8080", "http://", "http://a b"] {
            let server = ServerArgs { url: url.to_owned(), ..ServerArgs::default() };
            let error = a2a_client(&server).unwrap_err();
            assert!(error.code() == 2 && error.to_string().starts_with("--url: "), "{error}");
        }
    }
}
