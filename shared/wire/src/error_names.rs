//! Error texts in the vocabulary of each dialect: method names in messages, parameter paths, and
//! the error names of 0.3. Use cases write errors in 1.0 terms; the bindings translate here.

use crate::{Dialect, Operation, ProtocolError, WireError, raw::Violation};
use std::borrow::Cow;

impl Dialect {
    /// Error message with the method names of this dialect.
    pub fn message(self, error: &ProtocolError) -> String {
        let mut message = error.to_string();
        // Messages are written in the terms of 1.0.
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

    /// JSON-RPC method of an operation; `None` if the dialect lacks the operation.
    pub const fn method(self, operation: Operation) -> Option<&'static str> {
        match self {
            Self::V1_0 => Some(operation.v1_method()),
            Self::V0_3 | Self::V0_3Proto => Some(operation.v03_method()),
            Self::V0_1 => operation.v01_method(),
        }
    }

    /// Translates parameter paths into this dialect. Readers already use the dialect's paths; use
    /// cases use those of 1.0.
    pub fn with_dialect_paths(self, error: &ProtocolError) -> Cow<'_, ProtocolError> {
        let names: &[(&str, &str)] = match self {
            Self::V1_0 => return Cow::Borrowed(error),
            Self::V0_3 => &V0_3_PATHS,
            Self::V0_3Proto => &V0_3_PROTO_PATHS,
            Self::V0_1 => &V0_1_PATHS,
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
    /// Error name in 0.3, such as `TaskNotFoundError`. Its clients read the name outside JSON-RPC.
    pub fn name_in_0_3(&self) -> String {
        let reason = match self {
            // Only these two names differ from those of 1.0.
            Self::ParseError(_) => "JSON_PARSE",
            Self::ExtendedAgentCardNotConfigured => "AUTHENTICATED_EXTENDED_CARD_NOT_CONFIGURED",
            error => error.reason(),
        };
        // Converts UPPER_SNAKE to UpperCamel.
        let words = reason.split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{first}{}", rest.to_ascii_lowercase())
        });
        words.collect::<String>() + "Error"
    }

    /// Writes the error body of bindings other than JSON-RPC, in the vocabulary of the dialect. The
    /// 0.3 specification does not define the body; it is that of 1.0.
    pub fn to_http_body_in(&self, dialect: Dialect) -> Result<Vec<u8>, WireError> {
        dialect.with_dialect_paths(self).to_http_body()
    }
}

const V0_3_PATHS: [(&str, &str); 2] = [
    ("configuration.returnImmediately", "configuration.blocking"),
    ("configuration.taskPushNotificationConfig", "configuration.pushNotificationConfig"),
];

const V0_3_PROTO_PATHS: [(&str, &str); 3] = [
    ("message.parts", "message.content"),
    ("configuration.returnImmediately", "configuration.blocking"),
    ("configuration.taskPushNotificationConfig", "configuration.pushNotification"),
];

const V0_1_PATHS: [(&str, &str); 5] = [
    ("message.taskId", "id"),
    ("message.contextId", "sessionId"),
    ("configuration.acceptedOutputModes", "acceptedOutputModes"),
    ("configuration.historyLength", "historyLength"),
    ("configuration.taskPushNotificationConfig", "pushNotification"),
];

/// Replaces a known path prefix.
fn renamed(path: &str, names: &[(&str, &str)]) -> String {
    let found = names.iter().find_map(|(name, own)| {
        let rest = path.strip_prefix(name)?;
        // Only whole names match: `message.parts` is no prefix of `message.partsOther`.
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{own}{rest}"))
    });
    found.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_path_segments_are_renamed() {
        assert_eq!(renamed("message.parts[0].text", &V0_3_PROTO_PATHS), "message.content[0].text");
        assert_eq!(renamed("message.parts", &V0_3_PROTO_PATHS), "message.content");
        assert_eq!(renamed("message.partsOther", &V0_3_PROTO_PATHS), "message.partsOther");
        assert_eq!(renamed("message.contextId", &V0_1_PATHS), "sessionId");
        assert_eq!(renamed("message.contextId", &V0_3_PATHS), "message.contextId");
    }

    #[test]
    fn errors_have_the_names_of_0_3() {
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
    fn messages_name_methods_of_the_clients_dialect() {
        let error = ProtocolError::PushNotificationNotSupported;
        let message = Dialect::V0_3.message(&error);
        assert!(message.contains("message/stream, tasks/resubscribe or tasks/get"), "{message}");
        let message = Dialect::V0_1.message(&error);
        assert!(message.contains("tasks/sendSubscribe, tasks/resubscribe"), "{message}");
        assert_eq!(Dialect::V1_0.message(&error), error.to_string());
    }
}
