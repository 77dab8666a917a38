//! Which version of A2A a client speaks (A2A 3.6), and the conversions of that version. A second dialect is one more
//! variant here and one more module beside `v1`; the compiler then names every place that must know it.

use crate::{
    Operation, ProtocolError, Request, SendOutcome, StreamEvent, TaskPage,
    request::PushConfig,
    v1::{self, Cursored, PushList, V1, card::AgentCard},
};
use longhaul_domain::{Seq, Task};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// A version of A2A that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// 1.0
    V1_0,
}

/// What an absent or empty version means (A2A 3.6.2).
const UNSTATED: &str = "0.3";

/// How versions are found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiation {
    /// Whether a name that only one version has decides, where the version is not stated. Off: absent means 0.3, as
    /// the specification has it.
    pub assume: bool,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self { assume: true }
    }
}

impl Negotiation {
    /// The dialect and operation of a JSON-RPC call. `version` is the `A2A-Version` header or query parameter.
    pub fn method(
        self,
        version: Option<&str>,
        method: &str,
    ) -> Result<(Dialect, Operation), ProtocolError> {
        let of_v1 = Operation::from_v1_method(method);
        let dialect = match Self::stated(version) {
            Some(version) => Dialect::of_version(version)?,
            None if self.assume && Operation::from_v03_method(method).is_none() => Dialect::V1_0,
            None => Dialect::of_version(UNSTATED)?,
        };
        match dialect {
            Dialect::V1_0 => of_v1
                .map(|operation| (dialect, operation))
                .ok_or_else(|| ProtocolError::MethodNotFound(shortened(method))),
        }
    }

    /// The dialect of a request whose place, such as an HTTP path, only 1.0 has.
    pub fn v1_place(self, version: Option<&str>) -> Result<Dialect, ProtocolError> {
        match Self::stated(version) {
            Some(version) => Dialect::of_version(version),
            None if self.assume => Ok(Dialect::V1_0),
            None => Dialect::of_version(UNSTATED),
        }
    }

    fn stated(version: Option<&str>) -> Option<&str> {
        version.map(str::trim).filter(|version| !version.is_empty())
    }
}

impl Dialect {
    /// Every dialect that is served, the newest first.
    pub const ALL: [Self; 1] = [Self::V1_0];

    /// Major.Minor.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
        }
    }

    /// The served versions, for people.
    pub(crate) fn supported_list() -> String {
        Self::ALL.map(Self::version).join(", ")
    }

    /// The dialect of a version; only Major.Minor counts.
    pub fn of_version(version: &str) -> Result<Self, ProtocolError> {
        let mut numbers = version.split('.');
        let mut number = || numbers.next().and_then(|n| n.parse::<u32>().ok());
        match (number(), number()) {
            (Some(1), Some(0)) => Ok(Self::V1_0),
            _ => Err(ProtocolError::VersionNotSupported { asked: shortened(version) }),
        }
    }

    /// Reads the parameters of an operation.
    pub fn read(self, operation: Operation, params: &RawValue) -> Result<Request, ProtocolError> {
        match self {
            Self::V1_0 => v1::read_request(operation, params),
        }
    }

    /// An output as this dialect writes it.
    pub const fn view(self, output: Output<'_>) -> View<'_> {
        View { dialect: self, output }
    }
}

/// What a client sent, cut to a length that fits an error message.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 64;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Anything that goes to a client as a result.
#[derive(Debug, Clone, Copy)]
pub enum Output<'a> {
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
pub struct View<'a> {
    dialect: Dialect,
    output: Output<'a>,
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.dialect, self.output) {
            (Dialect::V1_0, Output::Send(outcome)) => V1(outcome).serialize(serializer),
            (Dialect::V1_0, Output::Task(task)) => V1(task).serialize(serializer),
            (Dialect::V1_0, Output::Page(page)) => V1(page).serialize(serializer),
            (Dialect::V1_0, Output::Event(event)) => V1(event).serialize(serializer),
            (Dialect::V1_0, Output::EventAt(event, seq)) => {
                V1(&Cursored { event, cursor: Some(seq) }).serialize(serializer)
            }
            (Dialect::V1_0, Output::Push(config)) => V1(config).serialize(serializer),
            (Dialect::V1_0, Output::PushList(list)) => V1(list).serialize(serializer),
            (Dialect::V1_0, Output::Card(card)) => card.serialize(serializer),
            (Dialect::V1_0, Output::Empty) => serializer.serialize_map(Some(0))?.end(),
        }
    }
}
