//! What operators send.

use super::{Gate, answer::Failed};
use crate::{
    bindings::body::{Unread, without_mark},
    service::operate::{DeadFilter, Place, Refusal},
};
use axum::{
    body::Body,
    extract::{
        FromRequestParts, Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use longhaul_domain::{AgentName, FailureKind, TaskId, Timestamp, check_text, json};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

/// Letters a page when nobody says, and at most.
pub const PAGE: u32 = 100;
pub const MOST: u32 = 1_000;

/// The query of a request; one that cannot be understood is refused in our own form.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Gate> for Asked<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Failed> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, gate).await;
        read.map(|Query(asked)| Self(asked)).map_err(|error| invalid(error.body_text()))
    }
}

/// An owner and what is named of it, from the address; what is no text is refused in our own form.
pub struct Named(pub String, pub String);

impl FromRequestParts<Gate> for Named {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Failed> {
        let read: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, gate).await;
        read.map(|Path((owner, name))| Self(owner, name))
            .map_err(|error| invalid(error.body_text()))
    }
}

/// Reads a JSON body.
pub async fn read<T: DeserializeOwned>(gate: &Gate, body: Body) -> Result<T, Failed> {
    let bytes = gate.bodies.read(body).await.map_err(|unread| match unread {
        Unread::TooLarge => {
            let why = format!("the body is larger than {} bytes", gate.bodies.limit());
            Failed::body(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", why)
        }
        Unread::TooSlow => {
            Failed::body(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the body came too slowly")
        }
        Unread::Busy => Failed::body(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "too many large bodies are being read; try again in a few seconds",
        ),
        Unread::Packed => invalid("bodies with a Content-Encoding are not read; send it as it is"),
        Unread::Broken(_) => invalid("the body broke off; send it again"),
    })?;
    let bytes = without_mark(bytes);
    json::check(&bytes).map_err(|error| invalid(format!("the body {error}")))?;
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
    serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("the body cannot be read: {error}")))
}

/// Which dead letters are meant, as it is written in a query or a body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    owner: Option<String>,
    agent: Option<String>,
    because: Option<String>,
    from: Option<String>,
    before: Option<String>,
    cause: Option<String>,
    handled: Option<bool>,
    pub after: Option<String>,
    pub limit: Option<u32>,
}

impl Filter {
    /// The filter in it.
    pub fn read(&self) -> Result<DeadFilter, Failed> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let agent = given(&self.agent).map(AgentName::new).transpose();
        let because = given(&self.because).map(|name| {
            let names = FailureKind::ALL.map(FailureKind::name).join(", ");
            FailureKind::from_name(&name)
                .ok_or_else(|| invalid(format!("because: must be one of {names}")))
        });
        Ok(DeadFilter {
            owner: given(&self.owner),
            agent: agent.map_err(|why| invalid(format!("agent: {why}")))?,
            because: because.transpose()?,
            from: given(&self.from).map(|text| moment("from", &text)).transpose()?,
            before: given(&self.before).map(|text| moment("before", &text)).transpose()?,
            cause: given(&self.cause).map(text_of("cause")).transpose()?,
            handled: self.handled.unwrap_or(false),
        })
    }

    /// How many, at most so many.
    pub fn limit(&self, default: u32, most: u32) -> Result<u32, Failed> {
        let limit = self.limit.unwrap_or(default);
        if (1..=most).contains(&limit) {
            Ok(limit)
        } else {
            Err(invalid(format!("limit: must be from 1 to {most}")))
        }
    }
}

/// Refuses text that no store can hold, nor hold in it.
fn text_of(member: &'static str) -> impl Fn(String) -> Result<String, Failed> {
    move |text| match check_text(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(invalid(format!("{member}: {why}"))),
    }
}

fn moment(member: &str, text: &str) -> Result<Timestamp, Failed> {
    let read = text.parse::<Timestamp>().ok();
    // Every store can hold years of four digits.
    read.filter(|at| (0..253_402_300_800).contains(&at.timestamp()))
        .ok_or_else(|| invalid(format!("{member}: must be a time such as 2030-01-31T12:00:00Z")))
}

/// Writes where a page ends, opaque to clients.
pub fn write_cursor((at, task): Place) -> String {
    let mut bytes = at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend(task.uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads it back.
pub fn read_cursor(text: &str) -> Result<Place, Failed> {
    let read = || {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (at, task) = bytes.split_at(8);
        let at = i64::from_be_bytes(at.try_into().ok()?);
        let at = Timestamp::from_timestamp_micros(at)?;
        let in_range = (0..253_402_300_800).contains(&at.timestamp());
        in_range.then(|| Some((at, TaskId::new(Uuid::from_slice(task).ok()?))))?
    };
    read().ok_or_else(|| invalid("after: is not a cursor; use `next` of the page before"))
}

/// Something given is wrong.
pub fn invalid(why: impl Into<String>) -> Failed {
    Refusal::Invalid(why.into()).into()
}
