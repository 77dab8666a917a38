//! The lines of the process protocol; `docs/process-protocol.md` describes them.

use super::a2a::{ArtifactIn, MessageIn, MessageOut, TaskOut, present};
use longhaul_domain::{Json, JsonObject, json, line::escape_line_separators};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version that this worker speaks.
pub(super) const PROTOCOL: u32 = 1;

/// What this worker understands beyond the first edition of that version.
pub(super) const FEATURES: &[&str] = &["checkpoints", "steps", "progress", "history"];

/// What the worker says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum ToPlugin<'a> {
    Hello {
        protocol: u32,
        worker: &'a str,
        agent: &'a str,
        mode: &'a str,
        max_inflight: u32,
        max_line_bytes: usize,
        features: &'a [&'a str],
    },
    Run {
        run: &'a str,
        task: Box<TaskFacts<'a>>,
        message: MessageOut<'a>,
        history: Vec<MessageOut<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        history_before: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<&'a JsonObject>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        accepted_output_modes: &'a [String],
        resume: Resume,
        credit: u32,
    },
    Message {
        run: &'a str,
        message: MessageOut<'a>,
    },
    Credit {
        run: &'a str,
        credit: u32,
    },
    Cancel {
        run: &'a str,
        reason: &'a str,
        grace_ms: u64,
    },
    Reply {
        run: &'a str,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Reply<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    },
}

/// What a run is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskFacts<'a> {
    pub task_id: String,
    pub context_id: &'a str,
    pub agent: &'a str,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    pub attempt: i32,
    pub max_attempts: i32,
    pub turn: i32,
    pub state: &'static str,
}

/// What is there already.
#[derive(Serialize)]
pub(super) struct Resume {
    pub artifacts: Vec<Durable>,
    /// Whether there are checkpoints or steps that are done.
    pub checkpoints: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Durable {
    pub artifact_id: String,
    pub parts: usize,
}

/// One page of older messages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryOut<'a> {
    pub messages: Vec<MessageOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_before: Option<i64>,
}

/// The result of a request.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Reply<'a> {
    Part { raw: &'a str, size: usize },
    Task { task: Option<Box<TaskOut<'a>>> },
    Tasks { tasks: Vec<TaskOut<'a>> },
    History(HistoryOut<'a>),
    Stored { found: bool, value: &'a Json },
    NotStored { found: bool },
    StepDone { done: bool, value: &'a Json },
    StepBegun { done: bool },
    Done {},
}

impl ToPlugin<'_> {
    /// As one line, also for readers that split at Unicode's line separators, as Node's `readline` does.
    pub fn line(&self) -> Vec<u8> {
        let json =
            serde_json::to_vec(self).expect("frames have string keys and cannot fail to encode");
        let mut line = escape_line_separators(json);
        line.push(b'\n');
        line
    }
}

/// What a plugin says. Which members count depends on `kind`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub run: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub protocol: Option<u32>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub max_inflight: Option<u32>,
    #[serde(default)]
    pub inline_parts: Option<u64>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    message: Option<Box<RawValue>>,
    #[serde(default)]
    pub message_id: Option<String>,
    #[serde(default)]
    pub metadata: Option<JsonObject>,
    #[serde(default)]
    pub artifact: Option<ArtifactIn>,
    #[serde(default)]
    pub append: Option<bool>,
    #[serde(default)]
    pub last_chunk: Option<bool>,
    #[serde(default)]
    pub step: Option<String>,
    #[serde(default)]
    pub level: Option<String>,
    #[serde(default)]
    pub cause: Option<String>,
    #[serde(default)]
    pub retryable: Option<bool>,
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

/// What kind of thing a plugin says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Ready,
    Log,
    Status,
    Artifact,
    Request,
    Read,
    Progress,
    Completed,
    Failed,
    Rejected,
    InputRequired,
    AuthRequired,
    Message,
    Canceled,
}

impl Kind {
    /// Whether it costs credit.
    pub const fn is_output(self) -> bool {
        matches!(self, Self::Status | Self::Artifact)
    }

    /// Whether it ends a run.
    pub const fn is_end(self) -> bool {
        !matches!(
            self,
            Self::Ready
                | Self::Log
                | Self::Status
                | Self::Artifact
                | Self::Request
                | Self::Read
                | Self::Progress
        )
    }
}

/// Parameters of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Params {
    pub id: Option<String>,
    pub offset: Option<usize>,
    pub length: Option<usize>,
    pub task_id: Option<String>,
    pub limit: Option<u32>,
    pub history_before: Option<i64>,
    pub name: Option<String>,
    #[serde(deserialize_with = "present")]
    pub value: Option<Json>,
}

impl Said {
    /// Reads a line; the error says what is wrong with it.
    pub fn read(line: &str) -> Result<Self, String> {
        json::check(line.as_bytes()).map_err(|error| error.to_string())?;
        serde_json::from_str(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => format!("is no message of the protocol: {error}"),
            _ => format!("is not JSON: {error}"),
        })
    }

    /// The message, of whatever is no `log`.
    pub fn message(&self) -> Result<Option<MessageIn>, String> {
        let read = |raw: &RawValue| {
            serde_json::from_str(raw.get()).map_err(|error| format!("`message` {error}"))
        };
        self.message.as_deref().map(read).transpose()
    }

    /// The message of a `log`: a text, or whatever else is there.
    pub fn log_text(&self) -> String {
        let raw = self.message.as_deref().map_or("", RawValue::get);
        serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
    }

    /// The parameters of a request.
    pub fn params(&self) -> Result<Params, String> {
        let raw = self.params.as_deref().map_or("{}", RawValue::get);
        serde_json::from_str(raw).map_err(|error| format!("`params` {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_mean_nothing_are_refused_with_a_reason() {
        for (line, reason) in [
            ("hello", "is not JSON"),
            ("{\"type\":\"dance\"}", "unknown variant `dance`"),
            ("{}", "missing field `type`"),
            ("[]", "no message of the protocol"),
            ("{\"type\":\"log\",\"message\":\"\\u0000\"}", "U+0000"),
        ] {
            let error = Said::read(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn a_frame_is_one_line_also_where_unicode_has_others() {
        let value = Json::parse("\"a\u{2028}b\u{85}\"").unwrap();
        let result = Some(Reply::Stored { found: true, value: &value });
        let line = ToPlugin::Reply { run: "r", id: "1", result, error: None }.line();
        let line = String::from_utf8(line).unwrap();
        assert!(line.ends_with("\"a\\u2028b\\u0085\"}}\n"), "{line}");
    }

    #[test]
    fn unknown_members_and_nulls_are_ignored() {
        let said = Said::read(r#"{"type":"completed","run":"r1","text":null,"new":[1]}"#).unwrap();
        assert!(said.kind.is_end() && said.text.is_none());
    }
}
