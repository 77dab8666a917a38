//! Protocol versions that clients speak (A2A 3.6) and the conversions of each. A new dialect is a
//! new variant here, with a module or a legacy form beside `v1` and `v0`. Matches have no wildcard
//! arm, so the compiler names every place to extend.

use crate::{
    Operation, ProtocolError, Request, SendOutcome, StreamEvent, TaskPage, WaitEnd, bounds,
    request::PushConfig,
    v0::{
        self, FileEncoding, FrameEncoder, LegacyForm, LegacyFrame, WriteContext,
        card::{CombinedCard, LegacyCard},
    },
    v1::{self, EventWithCursor, PushList, V1, card::AgentCard},
};
use longhaul_domain::{Seq, Task};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// One version of A2A in one of its JSON shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// 1.0
    V1_0,
    /// 0.3 over JSON-RPC.
    V0_3,
    /// 0.3 over HTTP+JSON: the JSON form of its protobuf package.
    V0_3Proto,
    /// 0.1, which has JSON-RPC only.
    V0_1,
}

impl Dialect {
    /// All dialects, the newest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V0_3, Self::V0_3Proto, Self::V0_1];

    /// Version as Major.Minor.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V0_3 | Self::V0_3Proto => "0.3",
            Self::V0_1 => "0.1",
        }
    }

    /// Finds the dialect that a version has over JSON-RPC. Only Major.Minor counts.
    pub fn from_version(version: &str) -> Option<Self> {
        let mut numbers = version.split('.');
        let mut number = || {
            // `parse` would accept a sign.
            let digits = |n: &&str| n.bytes().all(|byte| byte.is_ascii_digit());
            numbers.next().filter(digits).and_then(|n| n.parse::<u32>().ok())
        };
        match (number(), number()) {
            (Some(1), Some(0)) => Some(Self::V1_0),
            (Some(0), Some(3)) => Some(Self::V0_3),
            (Some(0), Some(1)) => Some(Self::V0_1),
            _ => None,
        }
    }

    /// Legacy form, or `None` for 1.0.
    pub const fn form(self) -> Option<LegacyForm> {
        match self {
            Self::V1_0 => None,
            Self::V0_3 => Some(LegacyForm::V0_3),
            Self::V0_3Proto => Some(LegacyForm::V0_3Proto),
            Self::V0_1 => Some(LegacyForm::V0_1),
        }
    }

    /// Finds the operation of a JSON-RPC method.
    pub fn operation(self, method: &str) -> Option<Operation> {
        match self {
            Self::V1_0 => Operation::from_v1_method(method),
            Self::V0_3 | Self::V0_3Proto => Operation::from_v03_method(method),
            Self::V0_1 => Operation::from_v01_method(method),
        }
    }

    /// Rule that ends waits and streams in this dialect.
    pub const fn wait_end(self) -> WaitEnd {
        match self.form() {
            None => WaitEnd::AtAnyParkForSends,
            Some(form) => form.wait_end(),
        }
    }

    /// Tells if a send may return a Message. In 0.1 a direct reply is shown as the task that it
    /// completed.
    pub const fn supports_direct_replies(self) -> bool {
        !matches!(self, Self::V0_1)
    }

    /// Tells if clients choose task ids and send messages without ids;
    /// [`assign_message_id`](crate::assign_message_id) fills those in.
    pub const fn clients_choose_ids(self) -> bool {
        matches!(self, Self::V0_1)
    }

    /// Tells if artifacts are identified by index instead of id.
    pub const fn indexes_artifacts(self) -> bool {
        matches!(self, Self::V0_1)
    }

    /// Tells if a task includes its history when the client has no way to ask for it. In 0.1
    /// history is shown on request only.
    pub const fn shows_history(self) -> bool {
        !matches!(self, Self::V0_1)
    }

    /// Tells if subscribing to an ended task returns that task and closes. Elsewhere it is an
    /// error.
    pub const fn shows_ended_tasks(self) -> bool {
        matches!(self, Self::V0_3Proto)
    }

    /// Dialect of the webhooks that a client of this dialect registers. Webhooks of 0.3 use the
    /// JSON-RPC shape in every binding.
    #[must_use]
    pub const fn for_webhooks(self) -> Self {
        match self {
            // Webhook receivers of 0.3 expect the JSON-RPC shape.
            Self::V0_3Proto => Self::V0_3,
            Self::V1_0 | Self::V0_3 | Self::V0_1 => self,
        }
    }

    /// Reads the parameters of an operation.
    pub fn read(self, operation: Operation, params: &RawValue) -> Result<Request, ProtocolError> {
        let parts = match self {
            Self::V0_3Proto => "message.content",
            Self::V1_0 | Self::V0_3 | Self::V0_1 => "message.parts",
        };
        // Checked before any reader runs, since building the values is what takes memory.
        bounds::check(operation, parts, params.into())?;
        match self.form() {
            None => v1::read_request(operation, params),
            Some(form) => v0::read_request(form, operation, params),
        }
    }

    /// View of a result that serializes in this dialect.
    pub const fn view(self, payload: ResultPayload<'_>) -> DialectView<'_> {
        DialectView { dialect: self, payload, client_task_id: None, files: FileEncoding::Once }
    }

    /// Encoder for the frames of one stream. `client_task_id` replaces the task id if the client
    /// chose one.
    pub const fn frames(self, client_task_id: Option<String>) -> FrameEncoder {
        FrameEncoder::new(self.form(), client_task_id)
    }
}

/// Result of an operation, or one frame of a stream.
#[derive(Debug, Clone, Copy)]
pub enum ResultPayload<'a> {
    /// Result of Send Message.
    Send(&'a SendOutcome),
    /// Result of Get Task and Cancel Task.
    Task(&'a Task),
    /// Result of List Tasks.
    Page(&'a TaskPage),
    /// One frame of a stream.
    Event(&'a StreamEvent),
    /// One frame of a stream, with the resume cursor in its metadata.
    EventWithCursor(&'a StreamEvent, Seq),
    /// Result of creating or getting a webhook.
    Push(&'a PushConfig),
    /// Result of listing webhooks.
    PushList(&'a PushList),
    /// Result of Get Extended Agent Card.
    Card(&'a AgentCard),
    /// Result of deleting a webhook.
    Empty,
}

/// Result that serializes in the shape of its dialect.
#[derive(Debug, Clone, Copy)]
pub struct DialectView<'a> {
    dialect: Dialect,
    payload: ResultPayload<'a>,
    client_task_id: Option<&'a str>,
    files: FileEncoding,
}

impl<'a> DialectView<'a> {
    /// Shows the task under the id that the client chose for it.
    #[must_use]
    pub const fn with_client_task_id(self, id: Option<&'a str>) -> Self {
        Self { client_task_id: id, ..self }
    }

    /// Sets the file encoding that the client expects; only `ProtoJSON` of 0.3 uses it.
    #[must_use]
    pub const fn with_file_encoding(self, files: FileEncoding) -> Self {
        Self { files, ..self }
    }
}

impl Serialize for DialectView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(form) = self.dialect.form() {
            let cx = WriteContext { form, client_task_id: self.client_task_id, files: self.files };
            return serialize_legacy(cx, self.payload, serializer);
        }
        match self.payload {
            ResultPayload::Send(outcome) => V1(outcome).serialize(serializer),
            ResultPayload::Task(task) => V1(task).serialize(serializer),
            ResultPayload::Page(page) => V1(page).serialize(serializer),
            ResultPayload::Event(event) => V1(event).serialize(serializer),
            ResultPayload::EventWithCursor(event, seq) => {
                V1(&EventWithCursor { event, cursor: Some(seq) }).serialize(serializer)
            }
            ResultPayload::Push(config) => V1(config).serialize(serializer),
            ResultPayload::PushList(list) => V1(list).serialize(serializer),
            ResultPayload::Card(card) => card.serialize(serializer),
            ResultPayload::Empty => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// Writes a result in a form before 1.0.
fn serialize_legacy<S: Serializer>(
    cx: WriteContext<'_>,
    payload: ResultPayload<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match payload {
        ResultPayload::Send(outcome) => cx.wrap(outcome).serialize(serializer),
        ResultPayload::Task(task) => cx.wrap(task).serialize(serializer),
        ResultPayload::Page(page) => cx.wrap(page).serialize(serializer),
        ResultPayload::Event(event) => {
            // Only streams of 0.1 use the index, and `FrameEncoder` writes those.
            LegacyFrame { cx, event, cursor: None, index: 0 }.serialize(serializer)
        }
        ResultPayload::EventWithCursor(event, seq) => {
            LegacyFrame { cx, event, cursor: Some(seq), index: 0 }.serialize(serializer)
        }
        ResultPayload::Push(config) => cx.wrap(config).serialize(serializer),
        ResultPayload::PushList(list) => cx.wrap(list).serialize(serializer),
        // Over HTTP some clients read `ProtoJSON`, others the JSON-RPC shape; this document is
        // both.
        ResultPayload::Card(card) if cx.form == LegacyForm::V0_3Proto => {
            CombinedCard(card).serialize(serializer)
        }
        ResultPayload::Card(card) => LegacyCard(card).serialize(serializer),
        ResultPayload::Empty => match cx.form {
            LegacyForm::V0_3Proto => serializer.serialize_map(Some(0))?.end(),
            // JSON-RPC requires a result, and null is one.
            LegacyForm::V0_3 | LegacyForm::V0_1 => serializer.serialize_unit(),
        },
    }
}
