//! Errors as dialects before 1.0 have them: their codes, and names that their clients know.

use crate::{
    Dialect, Operation, ProtocolError, WireError,
    raw::Violation,
    table::{self, Codes},
};
use std::borrow::Cow;

/// JSON-RPC's code of a request that is not in order.
const INVALID_REQUEST: i32 = -32600;

impl Dialect {
    /// The codes of an error. Before 1.0 required extensions have no code: a request that lacks one is not in order. A version
    /// that is not served has that of 1.0, as it belongs to no dialect.
    pub const fn codes(self, error: &ProtocolError) -> Codes {
        let codes = table::codes(error);
        if self.form().is_some() && matches!(error, ProtocolError::ExtensionSupportRequired { .. })
        {
            Codes { json_rpc: INVALID_REQUEST, ..codes }
        } else {
            codes
        }
    }

    /// What a client of this dialect reads: operations have the names by which it calls them.
    pub fn message(self, error: &ProtocolError) -> String {
        let mut message = error.to_string();
        if self == Self::V1_0 {
            return message;
        }
        for operation in Operation::ALL {
            let name = operation.v1_method();
            if let Some(own) = self.method(operation)
                && message.contains(name)
            {
                message = message.replace(name, own);
            }
        }
        message
    }

    /// The JSON-RPC name of an operation; none: the dialect does not have it.
    pub const fn method(self, operation: Operation) -> Option<&'static str> {
        match self {
            Self::V1_0 => Some(operation.v1_method()),
            Self::V0_3 | Self::V0_3Proto => Some(operation.v03_method()),
            Self::V0_1 => operation.v01_method(),
        }
    }

    /// The error with the paths of wrong parameters in the names of this dialect. Readers name them so; use cases, which know no
    /// dialect, name them as 1.0 does.
    pub fn named(self, error: &ProtocolError) -> Cow<'_, ProtocolError> {
        let names: &[(&str, &str)] = match self {
            Self::V1_0 => return Cow::Borrowed(error),
            Self::V0_3 => &V0_3,
            Self::V0_3Proto => &V0_3_PROTO,
            Self::V0_1 => &V0_1,
        };
        let ProtocolError::InvalidParams(violations) = error else { return Cow::Borrowed(error) };
        let renamed = violations
            .iter()
            .map(|v| Violation::new(renamed(&v.field, names), v.description.as_str()))
            .collect();
        Cow::Owned(ProtocolError::InvalidParams(renamed))
    }
}

impl ProtocolError {
    /// The name that 0.3 has for an error: `TaskNotFoundError`. Its clients look for it outside JSON-RPC.
    pub fn name_in_0_3(&self) -> String {
        let reason = match self {
            Self::ParseError(_) => "JSON_PARSE",
            Self::ExtendedAgentCardNotConfigured => "AUTHENTICATED_EXTENDED_CARD_NOT_CONFIGURED",
            error => error.reason(),
        };
        let words = reason.split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{first}{}", rest.to_ascii_lowercase())
        });
        words.collect::<String>() + "Error"
    }

    /// The body of an HTTP answer outside JSON-RPC, with the names of the dialect. 0.3 says nothing about its shape; it is that
    /// of 1.0.
    pub fn to_http_body_in(&self, dialect: Dialect) -> Result<Vec<u8>, WireError> {
        dialect.named(self).to_http_body()
    }
}

const V0_3: [(&str, &str); 2] = [
    ("configuration.returnImmediately", "configuration.blocking"),
    ("configuration.taskPushNotificationConfig", "configuration.pushNotificationConfig"),
];

const V0_3_PROTO: [(&str, &str); 3] = [
    ("message.parts", "message.content"),
    ("configuration.returnImmediately", "configuration.blocking"),
    ("configuration.taskPushNotificationConfig", "configuration.pushNotification"),
];

const V0_1: [(&str, &str); 5] = [
    ("message.taskId", "id"),
    ("message.contextId", "sessionId"),
    ("configuration.acceptedOutputModes", "acceptedOutputModes"),
    ("configuration.historyLength", "historyLength"),
    ("configuration.taskPushNotificationConfig", "pushNotification"),
];

/// A path whose beginning has another name.
fn renamed(path: &str, names: &[(&str, &str)]) -> String {
    let found = names.iter().find_map(|(name, own)| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{own}{rest}"))
    });
    found.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_renamed_whole_names_at_a_time() {
        assert_eq!(renamed("message.parts[0].text", &V0_3_PROTO), "message.content[0].text");
        assert_eq!(renamed("message.parts", &V0_3_PROTO), "message.content");
        assert_eq!(renamed("message.partsOther", &V0_3_PROTO), "message.partsOther");
        assert_eq!(renamed("message.contextId", &V0_1), "sessionId");
        assert_eq!(renamed("message.contextId", &V0_3), "message.contextId");
    }

    #[test]
    fn errors_have_the_names_that_clients_of_0_3_know() {
        let task = "x".to_owned();
        for (error, name) in [
            (ProtocolError::TaskNotFound { task }, "TaskNotFoundError"),
            (ProtocolError::PushNotificationNotSupported, "PushNotificationNotSupportedError"),
            (
                ProtocolError::ExtendedAgentCardNotConfigured,
                "AuthenticatedExtendedCardNotConfiguredError",
            ),
            (ProtocolError::ParseError(String::new()), "JsonParseError"),
            (ProtocolError::invalid("a", "b"), "InvalidParamsError"),
            (ProtocolError::Internal { request_id: String::new() }, "InternalError"),
        ] {
            assert_eq!(error.name_in_0_3(), name);
        }
    }

    #[test]
    fn advice_names_methods_that_the_client_can_call() {
        let error = ProtocolError::PushNotificationNotSupported;
        let message = Dialect::V0_3.message(&error);
        assert!(message.contains("message/stream, tasks/resubscribe or tasks/get"), "{message}");
        let message = Dialect::V0_1.message(&error);
        assert!(message.contains("tasks/sendSubscribe, tasks/resubscribe"), "{message}");
        assert_eq!(Dialect::V1_0.message(&error), error.to_string());
    }
}
