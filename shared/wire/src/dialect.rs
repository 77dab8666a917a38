//! Which version of A2A a client speaks (A2A 3.6), and the conversions of that version. One more dialect is one more
//! variant here, and a module or a form of one beside `v1` and `v0`; the compiler then names every place that must know it.

pub use crate::negotiation::Negotiation;
use crate::{
    Operation, ProtocolError, Request, SendOutcome, StreamEvent, TaskPage, WaitEnd, bounds,
    request::PushConfig,
    v0::{self, Cx, FileEncoding, FrameEncoder, LegacyForm},
    v1::{self, Cursored, PushList, V1, card::AgentCard},
};
use longhaul_domain::{Seq, Task};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// A version of A2A in one of its shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// 1.0
    V1_0,
    /// 0.3 over JSON-RPC.
    V0_3,
    /// 0.3 over HTTP+JSON: the JSON form of its protobuf package.
    V0_3Proto,
    /// 0.1, which had JSON-RPC only.
    V0_1,
}

impl Dialect {
    /// Every dialect, the newest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V0_3, Self::V0_3Proto, Self::V0_1];

    /// Major.Minor.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V0_3 | Self::V0_3Proto => "0.3",
            Self::V0_1 => "0.1",
        }
    }

    /// The dialect that a version has over JSON-RPC; only Major.Minor counts.
    pub fn from_version(version: &str) -> Option<Self> {
        let mut numbers = version.split('.');
        let mut number = || {
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

    /// The shape of it, where it is older than 1.0.
    pub const fn form(self) -> Option<LegacyForm> {
        match self {
            Self::V1_0 => None,
            Self::V0_3 => Some(LegacyForm::V0_3),
            Self::V0_3Proto => Some(LegacyForm::V0_3Proto),
            Self::V0_1 => Some(LegacyForm::V0_1),
        }
    }

    /// The operation of a JSON-RPC method.
    pub fn operation(self, method: &str) -> Option<Operation> {
        match self {
            Self::V1_0 => Operation::from_v1_method(method),
            Self::V0_3 | Self::V0_3Proto => Operation::from_v03_method(method),
            Self::V0_1 => Operation::from_v01_method(method),
        }
    }

    /// When a client of this dialect is done waiting.
    pub const fn ends(self) -> WaitEnd {
        match self.form() {
            None => WaitEnd::AtAnyParkForSends,
            Some(form) => form.ends(),
        }
    }

    /// Whether a client may be answered with a Message. Where not, a direct reply is shown as the task that it completed.
    pub const fn supports_direct_replies(self) -> bool {
        !matches!(self, Self::V0_1)
    }

    /// Whether clients choose the ids of their tasks and give messages none: [`chosen::name`](crate::chosen::name) does.
    pub const fn clients_choose_ids(self) -> bool {
        matches!(self, Self::V0_1)
    }

    /// Whether artifacts are known by their places among those of the task. Where not, they have ids.
    pub const fn indexes_artifacts(self) -> bool {
        matches!(self, Self::V0_1)
    }

    /// Whether a task is shown with its history where the client has no way to say how much of it. Where not, history is
    /// shown on request only.
    pub const fn shows_history(self) -> bool {
        !matches!(self, Self::V0_1)
    }

    /// Whether a subscription to a task that has ended shows that task and closes. Elsewhere it is an error.
    pub const fn shows_ended_tasks(self) -> bool {
        matches!(self, Self::V0_3Proto)
    }

    /// The dialect of the webhooks that a client of this one registers. Those of 0.3 get a task as JSON-RPC has it, whatever
    /// binding the client uses.
    #[must_use]
    pub const fn of_webhooks(self) -> Self {
        match self {
            Self::V0_3Proto => Self::V0_3,
            Self::V1_0 | Self::V0_3 | Self::V0_1 => self,
        }
    }

    /// Reads the parameters of an operation.
    pub fn read(self, operation: Operation, params: &RawValue) -> Result<Request, ProtocolError> {
        bounds::check(self, operation, params.into())?;
        match self.form() {
            None => v1::read_request(operation, params),
            Some(form) => v0::read_request(form, operation, params),
        }
    }

    /// An output as this dialect writes it.
    pub const fn view(self, output: ResultPayload<'_>) -> DialectView<'_> {
        DialectView { dialect: self, output, shown: None, files: FileEncoding::Once }
    }

    /// The frames of one stream. `shown` is the id by which the client knows the task, where it chose that itself.
    pub const fn frames(self, shown: Option<String>) -> FrameEncoder {
        FrameEncoder::new(self, shown)
    }
}

/// What a client sent, cut to a length that fits an error message. Control characters are shown as U+FFFD: U+0000 among them, which
/// readers of answers refuse.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 64;
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(MOST).map(shown).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// Anything that goes to a client as a result.
#[derive(Debug, Clone, Copy)]
pub enum ResultPayload<'a> {
    /// Of Send Message.
    Send(&'a SendOutcome),
    /// Of Get Task and Cancel Task.
    Task(&'a Task),
    /// Of List Tasks.
    Page(&'a TaskPage),
    /// One frame of a stream.
    Event(&'a StreamEvent),
    /// One frame of a stream, with its cursor in the metadata.
    EventAt(&'a StreamEvent, Seq),
    /// Of creating or getting a webhook.
    Push(&'a PushConfig),
    /// Of listing webhooks.
    PushList(&'a PushList),
    /// Of Get Extended Agent Card.
    Card(&'a AgentCard),
    /// Of deleting a webhook.
    Empty,
}

/// An output as a dialect writes it.
#[derive(Debug, Clone, Copy)]
pub struct DialectView<'a> {
    dialect: Dialect,
    output: ResultPayload<'a>,
    shown: Option<&'a str>,
    files: FileEncoding,
}

impl<'a> DialectView<'a> {
    /// With the id by which the client knows the task, where it chose that itself.
    #[must_use]
    pub const fn with_client_task_id(self, id: Option<&'a str>) -> Self {
        Self { shown: id, ..self }
    }

    /// With files as the client expects them; `ProtoJSON` of 0.3 alone asks.
    #[must_use]
    pub const fn files(self, files: FileEncoding) -> Self {
        Self { files, ..self }
    }
}

impl Serialize for DialectView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(form) = self.dialect.form() {
            let cx = Cx { form, shown: self.shown, files: self.files };
            return v0::serialize_output(cx, self.output, serializer);
        }
        match self.output {
            ResultPayload::Send(outcome) => V1(outcome).serialize(serializer),
            ResultPayload::Task(task) => V1(task).serialize(serializer),
            ResultPayload::Page(page) => V1(page).serialize(serializer),
            ResultPayload::Event(event) => V1(event).serialize(serializer),
            ResultPayload::EventAt(event, seq) => {
                V1(&Cursored { event, cursor: Some(seq) }).serialize(serializer)
            }
            ResultPayload::Push(config) => V1(config).serialize(serializer),
            ResultPayload::PushList(list) => V1(list).serialize(serializer),
            ResultPayload::Card(card) => card.serialize(serializer),
            ResultPayload::Empty => serializer.serialize_map(Some(0))?.end(),
        }
    }
}
