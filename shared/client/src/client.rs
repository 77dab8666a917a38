//! A2A 1.0 over JSON-RPC.

use crate::{
    ClientError, Decoded, Result,
    jsonrpc::{JsonRpcRequest, params, result, unwrap_envelope},
    sse::{SseEvent, SseParser},
    transport::{STREAM_IDLE_TIMEOUT, Transport, timed_out, unreachable, within_request_timeout},
};
use futures::{StreamExt, stream::BoxStream};
use longhaul_domain::extension::DURABILITY_EXTENSION;
use longhaul_wire::{
    CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, ReceivedPage, ReceivedSend,
    ReceivedTask, SendRequest, TaskRef, v1,
};
use reqwest::{
    RequestBuilder,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use serde_json::value::RawValue;
use std::collections::VecDeque;

const EVENT_STREAM: &str = "text/event-stream";

/// A client of one agent, over A2A 1.0 and JSON-RPC.
///
/// Cloning is cheap; clones share their connections. Calls that do not wait for a task fail after a
/// minute. No request goes to another origin than the one that was given: redirects beyond it are
/// errors.
///
/// ```no_run
/// use longhaul_client::{A2aClient, ListRequest};
///
/// # async fn example() -> longhaul_client::Result<()> {
/// let client = A2aClient::builder("https://agents.example.com").api_key("lh_…").build()?;
/// for task in client.tasks(&ListRequest::default()).await?.value.tasks {
///     println!("{} is {}", task.id, task.status.state.name());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct A2aClient {
    transport: Transport,
    url: String,
    run_reports: bool,
}

impl A2aClient {
    pub(crate) fn new(transport: Transport, agent: Option<&str>, run_reports: bool) -> Self {
        // Agents other than the default one have addresses of their own below the root.
        let url = match agent {
            Some(agent) => format!("{}/agents/{agent}", transport.base()),
            None => format!("{}/", transport.base()),
        };
        Self { transport, url, run_reports }
    }

    /// The address that A2A requests go to.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends a message (A2A 3.1.1). Waits until the task ends or asks for input, unless
    /// [`return_immediately`](SendRequest::return_immediately) is set.
    ///
    /// ```no_run
    /// # use longhaul_client::{A2aClient, ReceivedSend, Result, SendRequest};
    /// # async fn example(client: A2aClient, request: SendRequest) -> Result<()> {
    /// match client.send(&request).await?.value {
    ///     ReceivedSend::Task(task) => println!("{} is {}", task.id, task.status.state.name()),
    ///     ReceivedSend::Message(reply) => println!("{:?}", reply.parts),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses. If
    /// [`may_have_arrived`](ClientError::may_have_arrived) is true, send the same message id again:
    /// it attaches to the task that the first send made.
    pub async fn send(&self, request: &SendRequest) -> Result<Decoded<ReceivedSend>> {
        let params = params(request)?;
        let raw = if request.return_immediately {
            self.call("SendMessage", &params).await?
        } else {
            self.call_without_timeout("SendMessage", &params).await?
        };
        Decoded::from_a2a(raw, v1::received_send)
    }

    /// Reads a task (A2A 3.1.3), with the latest messages of its history: all of them without a
    /// length.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or knows no such task.
    pub async fn task(
        &self,
        task: &TaskRef,
        history_length: Option<u32>,
    ) -> Result<Decoded<ReceivedTask>> {
        let request = GetRequest { tenant: None, id: task.clone(), history_length };
        let raw = self.call("GetTask", &params(&request)?).await?;
        Decoded::from_a2a(raw, v1::received_task)
    }

    /// Lists tasks, a page at a time (A2A 3.1.4), the latest change first.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses the request.
    pub async fn tasks(&self, request: &ListRequest) -> Result<Decoded<ReceivedPage>> {
        let raw = self.call("ListTasks", &params(request)?).await?;
        Decoded::from_a2a(raw, v1::received_page)
    }

    /// Cancels a task (A2A 3.1.5). The answer may still show it working: it stops soon after.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, knows no such task, or the task has ended.
    pub async fn cancel(&self, request: &CancelRequest) -> Result<Decoded<ReceivedTask>> {
        let raw = self.call("CancelTask", &params(request)?).await?;
        Decoded::from_a2a(raw, v1::received_task)
    }

    /// Reads the extended card (A2A 3.1.11), which only authenticated callers see, as JSON.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or has no extended card for this caller.
    pub async fn extended_card(&self) -> Result<Box<RawValue>> {
        self.call("GetExtendedAgentCard", &params(&ExtendedCardRequest::default())?).await
    }

    /// Calls any method that answers soon; returns the result as it came.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses, or does not answer within a minute.
    pub async fn call(&self, method: &str, params: &RawValue) -> Result<Box<RawValue>> {
        within_request_timeout(&self.url, self.call_without_timeout(method, params)).await
    }

    async fn call_without_timeout(&self, method: &str, params: &RawValue) -> Result<Box<RawValue>> {
        let response = self.transport.send(self.request(method, params), &self.url).await?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| unreachable(&self.url, &error))?;
        result(&self.url, status, &body)
    }

    /// Calls a streaming method; resumes behind the cursor, if there is one.
    pub(crate) async fn open_stream(
        &self,
        method: &str,
        params: &RawValue,
        cursor: Option<&str>,
    ) -> Result<EventConnection> {
        within_request_timeout(&self.url, self.connect_stream(method, params, cursor)).await
    }

    async fn connect_stream(
        &self,
        method: &str,
        params: &RawValue,
        cursor: Option<&str>,
    ) -> Result<EventConnection> {
        let mut request = self.request(method, params).header(ACCEPT, EVENT_STREAM);
        // A cursor that is no header value is left out; the stream then begins with a snapshot.
        if let Some(cursor) = cursor.and_then(|cursor| HeaderValue::from_str(cursor).ok()) {
            request = request.header("Last-Event-ID", cursor);
        }
        let response = self.transport.send(request, &self.url).await?;
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().starts_with(EVENT_STREAM));
        let mut connection = EventConnection {
            url: self.url.clone(),
            bytes: futures::stream::empty().boxed(),
            parser: SseParser::default(),
            parsed: VecDeque::new(),
            single: None,
        };
        if response.status().is_success() && is_stream {
            connection.bytes = response.bytes_stream().boxed();
        } else {
            let status = response.status().as_u16();
            let body = response.bytes().await.map_err(|error| unreachable(&self.url, &error))?;
            // A server may answer with a single result instead of a stream, and does so with
            // errors.
            connection.single = Some(result(&self.url, status, &body)?);
        }
        Ok(connection)
    }

    fn request(&self, method: &str, params: &RawValue) -> RequestBuilder {
        let body = JsonRpcRequest::new(method, params);
        let request =
            self.transport.http().post(&self.url).header("A2A-Version", "1.0").json(&body);
        if self.run_reports {
            request.header("A2A-Extensions", DURABILITY_EXTENSION)
        } else {
            request
        }
    }
}

/// One connection of a stream.
pub struct EventConnection {
    url: String,
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    parser: SseParser,
    parsed: VecDeque<SseEvent>,
    /// The result, where the server answers a streaming call with a single JSON object.
    single: Option<Box<RawValue>>,
}

impl EventConnection {
    /// Returns the next event: its cursor, and the result as it came. `None` when the server ended
    /// the stream.
    pub async fn next(&mut self) -> Result<Option<(Option<String>, Box<RawValue>)>> {
        loop {
            // One read may complete several events.
            if let Some(SseEvent { id, data }) = self.parsed.pop_front() {
                return Ok(Some((id, unwrap_envelope(data.as_bytes())?)));
            }
            if let Some(single) = self.single.take() {
                return Ok(Some((None, single)));
            }
            match tokio::time::timeout(STREAM_IDLE_TIMEOUT, self.bytes.next()).await {
                Err(_) => return Err(timed_out(&self.url, STREAM_IDLE_TIMEOUT)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(unreachable(&self.url, &error)),
                Ok(Some(Ok(bytes))) => {
                    let events = self.parser.feed(&bytes);
                    let events =
                        events.map_err(|error| ClientError::Unreadable(error.to_string()))?;
                    self.parsed.extend(events);
                }
            }
        }
    }
}
