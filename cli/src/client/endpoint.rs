//! One server: how it is addressed and asked.

use super::{
    ClientError,
    error::Refusal,
    redirect,
    sse::{SseEvent, SseReader},
};
use crate::{args::Server, exit::Failure};
use futures::{StreamExt, stream::BoxStream};
use longhaul_domain::extension::DURABILITY_EXTENSION;
use longhaul_runtime::Secret;
use reqwest::{
    Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::VecDeque, time::Duration};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A stream that is silent for so long is dead: servers send comments far more often.
const SILENCE: Duration = Duration::from_secs(90);
/// How long an answer may take that does not wait for a task.
pub(super) const ANSWER: Duration = Duration::from_secs(60);
const EVENT_STREAM: &str = "text/event-stream";

/// A server and how to show who we are.
#[derive(Debug, Clone)]
pub struct Endpoint {
    http: reqwest::Client,
    url: String,
    key: Option<Secret>,
    /// Whether tasks come with the facts about their runs.
    reports: bool,
}

/// A request of JSON-RPC.
#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: &'a RawValue,
}

/// The result of a call as it came.
pub type Answered = Result<Box<RawValue>, ClientError>;

/// An answer of JSON-RPC, its result as it came.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Refusal>,
}

/// The answer to a streaming call: frames, as they come.
pub struct Frames {
    url: String,
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    reader: SseReader,
    ready: VecDeque<SseEvent>,
    /// A server may answer a streaming call with a single JSON object.
    single: Option<String>,
}

impl Endpoint {
    /// The server that the flags name. Agents beside the default one have addresses of their own below it.
    pub fn new(server: &Server) -> Result<Self, Failure> {
        let base = base_of(&server.url)?;
        let url = match &server.agent {
            Some(agent) => format!("{base}/agents/{agent}"),
            None => format!("{base}/"),
        };
        let http = http_client(redirect::policy(false))?;
        let key = key_of(server.api_key.as_ref());
        Ok(Self { http, url, key, reports: false })
    }

    /// The same server, asked for the facts about the runs of tasks: agent, attempt, queue.
    #[must_use]
    pub fn with_reports(mut self) -> Self {
        self.reports = true;
        self
    }

    /// Where requests go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method that answers soon; gives the result as it came.
    pub async fn call(&self, method: &str, params: &RawValue) -> Answered {
        let limit = tokio::time::timeout(ANSWER, self.call_and_wait(method, params));
        limit.await.unwrap_or_else(|_| Err(silent(&self.url, ANSWER)))
    }

    /// Calls a method that answers when a task has ended, however long that takes.
    pub async fn call_and_wait(&self, method: &str, params: &RawValue) -> Answered {
        let request = self.request(method, params);
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        self.result(status, &body)
    }

    /// Calls a streaming method, from a cursor if there is one.
    pub async fn open(
        &self,
        method: &str,
        params: &RawValue,
        cursor: Option<&str>,
    ) -> Result<Frames, ClientError> {
        let limit = tokio::time::timeout(ANSWER, self.begin(method, params, cursor));
        limit.await.unwrap_or_else(|_| Err(silent(&self.url, ANSWER)))
    }

    async fn begin(
        &self,
        method: &str,
        params: &RawValue,
        cursor: Option<&str>,
    ) -> Result<Frames, ClientError> {
        let mut request = self.request(method, params).header(ACCEPT, EVENT_STREAM);
        if let Some(cursor) = cursor.and_then(|cursor| HeaderValue::from_str(cursor).ok()) {
            request = request.header("Last-Event-ID", cursor);
        }
        let response = self.send(request).await?;
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().starts_with(EVENT_STREAM));
        let mut frames = Frames {
            url: self.url.clone(),
            bytes: futures::stream::empty().boxed(),
            reader: SseReader::default(),
            ready: VecDeque::new(),
            single: None,
        };
        if response.status().is_success() && is_stream {
            frames.bytes = response.bytes_stream().boxed();
        } else {
            let status = response.status().as_u16();
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            self.result(status, &body)?;
            frames.single = Some(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(frames)
    }

    fn request(&self, method: &str, params: &RawValue) -> reqwest::RequestBuilder {
        let body = Call { jsonrpc: "2.0", id: 1, method, params };
        let mut request = self.http.post(&self.url).header("A2A-Version", "1.0").json(&body);
        if self.reports {
            request = request.header("A2A-Extensions", DURABILITY_EXTENSION);
        }
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        redirect::not_followed(&self.url, &response)?;
        Ok(response)
    }

    fn result(&self, status: u16, body: &[u8]) -> Answered {
        match unwrap(body) {
            Ok(result) => Ok(result),
            Err(ClientError::Unreadable(_)) if status >= 400 => {
                Err(ClientError::http(&self.url, status))
            }
            // Not an answer of JSON-RPC: a proxy in front says that nobody is behind it.
            Err(ClientError::Refused(refusal)) if refusal.code == i64::from(status) => {
                Err(ClientError::http(&self.url, status))
            }
            Err(error) => Err(error),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        unreachable(&self.url, error)
    }
}

impl Frames {
    /// The next frame: its cursor, and the result as it came. `None` when the server ended the stream.
    pub async fn next(&mut self) -> Result<Option<(Option<String>, Box<RawValue>)>, ClientError> {
        loop {
            if let Some(SseEvent { id, data }) = self.ready.pop_front() {
                return Ok(Some((id, unwrap(data.as_bytes())?)));
            }
            if let Some(single) = self.single.take() {
                return Ok(Some((None, unwrap(single.as_bytes())?)));
            }
            match tokio::time::timeout(SILENCE, self.bytes.next()).await {
                Err(_) => return Err(silent(&self.url, SILENCE)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(unreachable(&self.url, &error)),
                Ok(Some(Ok(bytes))) => {
                    let events = self.reader.feed(&bytes);
                    let events =
                        events.map_err(|error| ClientError::Unreadable(error.to_string()))?;
                    self.ready.extend(events);
                }
            }
        }
    }
}

/// The address that the flag gives, without a slash at its end.
pub(super) fn base_of(url: &str) -> Result<&str, Failure> {
    let base = url.trim_end_matches('/');
    if base.starts_with("http://") || base.starts_with("https://") {
        return Ok(base);
    }
    Err(Failure::usage(format!("--url: {base:?} does not begin with http:// or https://")))
}

/// What requests are sent with.
pub(super) fn http_client(redirects: Policy) -> Result<reqwest::Client, Failure> {
    crate::install_tls();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(SILENCE)
        .redirect(redirects)
        .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::failed(format!("the HTTP client cannot start: {error}")))
}

/// The key that the flag gives; empty is none.
pub(super) fn key_of(key: Option<&String>) -> Option<Secret> {
    key.filter(|key| !key.is_empty()).cloned().map(Secret::new)
}

fn unwrap(body: &[u8]) -> Answered {
    let unreadable = |cause: String| ClientError::Unreadable(cause);
    let envelope: Envelope =
        serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    match (envelope.error, envelope.result) {
        (Some(refusal), _) => Err(ClientError::Refused(refusal)),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(unreadable("it has neither a result nor an error".to_owned())),
    }
}

/// The innermost cause says most, such as "connection refused".
pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> ClientError {
    let sent = !(error.is_connect() || error.is_builder());
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ClientError::Unreachable { url: url.to_owned(), cause: cause.to_string(), sent }
}

pub(super) fn silent(url: &str, limit: Duration) -> ClientError {
    let cause = format!("no answer within {} seconds", limit.as_secs());
    ClientError::Unreachable { url: url.to_owned(), cause, sent: true }
}
