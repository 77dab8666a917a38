//! Inputs of the operator API.

use super::{AppState, response::ApiError};
use crate::{
    bindings::body::{BodyError, strip_byte_order_mark},
    service::operate::{DeadLetterCursor, DeadLetterFilter, OperatorError},
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
use longhaul_wire::operator::DeadLetterQuery;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Default and greatest number of items per page.
const DEFAULT_PAGE_SIZE: u32 = 100;
const MAX_PAGE_SIZE: u32 = 1_000;

/// The query of a request; an invalid one is refused in this API's form.
pub struct QueryInput<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for QueryInput<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        read.map(|Query(asked)| Self(asked)).map_err(|error| invalid(error.body_text()))
    }
}

/// Owner and name from the path; invalid text is refused in this API's form.
pub struct OwnedName(pub String, pub String);

impl FromRequestParts<AppState> for OwnedName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let read: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        read.map(|Path((owner, name))| Self(owner, name))
            .map_err(|error| invalid(error.body_text()))
    }
}

/// Reads a JSON body.
pub async fn read<T: DeserializeOwned>(state: &AppState, body: Body) -> Result<T, ApiError> {
    let bytes = state.bodies.read(body).await.map_err(|unread| match unread {
        BodyError::TooLarge => {
            let why = format!("the body is larger than {} bytes", state.bodies.limit());
            ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", why)
        }
        BodyError::TooSlow => {
            ApiError::body(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the body came too slowly")
        }
        BodyError::Busy => ApiError::body(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "too many large bodies are being read; try again in a few seconds",
        ),
        BodyError::Compressed => {
            invalid("bodies with a Content-Encoding are not read; send it as it is")
        }
        BodyError::Broken(_) => invalid("the body broke off; send it again"),
    })?;
    let bytes = strip_byte_order_mark(bytes);
    json::check(&bytes).map_err(|error| invalid(format!("the body {error}")))?;
    // An empty body counts as an empty object.
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
    serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("the body cannot be read: {error}")))
}

/// The filter in a query of dead letters.
pub fn dead_letter_filter(query: &DeadLetterQuery) -> Result<DeadLetterFilter, ApiError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let agent = given(&query.agent).map(AgentName::new).transpose();
    let because = given(&query.because).map(|name| {
        let names = FailureKind::ALL.map(FailureKind::name).join(", ");
        FailureKind::from_name(&name)
            .ok_or_else(|| invalid(format!("because: must be one of {names}")))
    });
    Ok(DeadLetterFilter {
        owner: given(&query.owner),
        agent: agent.map_err(|why| invalid(format!("agent: {why}")))?,
        because: because.transpose()?,
        from: given(&query.from).map(|text| moment("from", &text)).transpose()?,
        before: given(&query.before).map(|text| moment("before", &text)).transpose()?,
        cause: given(&query.cause).map(text_of("cause")).transpose()?,
        handled: query.handled.unwrap_or(false),
    })
}

/// Number of items of a page.
pub fn page_limit(query: &DeadLetterQuery) -> Result<u32, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE_SIZE);
    if (1..=MAX_PAGE_SIZE).contains(&limit) {
        Ok(limit)
    } else {
        Err(invalid(format!("limit: must be from 1 to {MAX_PAGE_SIZE}")))
    }
}

/// Refuses text that stores cannot hold.
fn text_of(member: &'static str) -> impl Fn(String) -> Result<String, ApiError> {
    move |text| match check_text(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(invalid(format!("{member}: {why}"))),
    }
}

fn moment(member: &str, text: &str) -> Result<Timestamp, ApiError> {
    let read = text.parse::<Timestamp>().ok();
    // Stores hold years of four digits.
    read.filter(|at| (0..253_402_300_800).contains(&at.timestamp()))
        .ok_or_else(|| invalid(format!("{member}: must be a time such as 2030-01-31T12:00:00Z")))
}

/// Encodes the end of a page, opaque to clients.
pub fn write_cursor((at, task): DeadLetterCursor) -> String {
    let mut bytes = at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend(task.uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes it.
pub fn read_cursor(text: &str) -> Result<DeadLetterCursor, ApiError> {
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

/// Error for an invalid input.
pub fn invalid(why: impl Into<String>) -> ApiError {
    OperatorError::Invalid(why.into()).into()
}
