//! The frames of the process protocol, one JSON object a line. `docs/process-protocol.md` describes
//! them.

use super::a2a::{ArtifactIn, MessageIn, MessageOut, TaskOut, deserialize_present};
use longhaul_domain::{Json, JsonObject, json, line_separators::escape_line_separators};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The protocol version of this worker.
pub(super) const PROTOCOL_VERSION: u32 = 1;

/// Features of this worker beyond the first edition of the version.
pub(super) const PROTOCOL_FEATURES: &[&str] = &["checkpoints", "steps", "progress", "history"];

/// A frame from the worker to a plugin.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum WorkerFrame<'a> {
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
        task: Box<TaskInfo<'a>>,
        message: MessageOut<'a>,
        history: Vec<MessageOut<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        history_before: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<&'a JsonObject>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        accepted_output_modes: &'a [String],
        resume: ResumeState,
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
        result: Option<ReplyBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    },
}

/// The task of a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskInfo<'a> {
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

/// The output that earlier attempts have left.
#[derive(Serialize)]
pub(super) struct ResumeState {
    pub artifacts: Vec<DurableArtifact>,
    /// True when there are checkpoints or completed steps.
    pub checkpoints: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DurableArtifact {
    pub artifact_id: String,
    pub parts: usize,
}

/// A page of older messages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryOut<'a> {
    pub messages: Vec<MessageOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_before: Option<i64>,
}

/// The result in a `reply`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ReplyBody<'a> {
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

impl WorkerFrame<'_> {
    /// Encodes the frame as one line. Unicode line separators are escaped, because some readers
    /// split there (Node's `readline`).
    pub fn line(&self) -> Vec<u8> {
        let json =
            serde_json::to_vec(self).expect("frames have string keys and cannot fail to encode");
        // JSON strings may hold U+2028 and U+2029, where some readers split lines.
        let mut line = escape_line_separators(json);
        line.push(b'\n');
        line
    }
}

/// A frame from a plugin. `kind` decides which members apply.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginFrame {
    #[serde(rename = "type")]
    pub kind: FrameKind,
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

/// The type of a plugin's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FrameKind {
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

impl FrameKind {
    /// Returns true for frames that cost credit.
    pub const fn is_output(self) -> bool {
        matches!(self, Self::Status | Self::Artifact)
    }

    /// Returns true for frames that end a run.
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

/// The parameters of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestParams {
    pub id: Option<String>,
    pub offset: Option<usize>,
    pub length: Option<usize>,
    pub task_id: Option<String>,
    pub limit: Option<u32>,
    pub history_before: Option<i64>,
    pub name: Option<String>,
    #[serde(deserialize_with = "deserialize_present")]
    pub value: Option<Json>,
}

impl PluginFrame {
    /// Parses a line. The error completes a sentence about the line.
    pub fn parse(line: &str) -> Result<Self, String> {
        json::check(line.as_bytes()).map_err(|error| error.to_string())?;
        serde_json::from_str(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => format!("is no message of the protocol: {error}"),
            _ => format!("is not JSON: {error}"),
        })
    }

    /// The message of any frame except `log`.
    pub fn message(&self) -> Result<Option<MessageIn>, String> {
        let read = |raw: &RawValue| {
            serde_json::from_str(raw.get()).map_err(|error| format!("`message` {error}"))
        };
        self.message.as_deref().map(read).transpose()
    }

    /// The message of a `log` frame: a text, or any other JSON.
    pub fn log_text(&self) -> String {
        let raw = self.message.as_deref().map_or("", RawValue::get);
        serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
    }

    /// The parameters of a request.
    pub fn params(&self) -> Result<RequestParams, String> {
        let raw = self.params.as_deref().map_or("{}", RawValue::get);
        serde_json::from_str(raw).map_err(|error| format!("`params` {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_lines_are_refused_with_a_reason() {
        for (line, reason) in [
            ("hello", "is not JSON"),
            ("{\"type\":\"dance\"}", "unknown variant `dance`"),
            ("{}", "missing field `type`"),
            ("[]", "no message of the protocol"),
            ("{\"type\":\"log\",\"message\":\"\\u0000\"}", "U+0000"),
        ] {
            let error = PluginFrame::parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn a_frame_escapes_unicode_line_separators() {
        let value = Json::parse("\"a\u{2028}b\u{85}\"").unwrap();
        let result = Some(ReplyBody::Stored { found: true, value: &value });
        let line = WorkerFrame::Reply { run: "r", id: "1", result, error: None }.line();
        let line = String::from_utf8(line).unwrap();
        assert!(line.ends_with("\"a\\u2028b\\u0085\"}}\n"), "{line}");
    }

    #[test]
    fn unknown_members_and_nulls_are_ignored() {
        let frame =
            PluginFrame::parse(r#"{"type":"completed","run":"r1","text":null,"new":[1]}"#).unwrap();
        assert!(frame.kind.is_end() && frame.text.is_none());
    }
}
