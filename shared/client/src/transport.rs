//! HTTP requests to one server.

use crate::{ClientError, Result, redirect};
use longhaul_runtime::Secret;
use reqwest::{RequestBuilder, Response, Url, redirect::Policy};
use std::time::Duration;

/// Longest time to make a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence on a stream: servers send keep-alive comments far more often.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Longest time for an answer that does not wait for a task.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A server's root address, and the credentials to use there.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    /// The address as it was given, without a slash at its end.
    base: String,
    root: Url,
    api_key: Option<Secret>,
}

impl Transport {
    pub fn new(url: &str, api_key: Option<Secret>) -> Result<Self> {
        // Paths are appended with their own slash.
        let base = url.trim_end_matches('/');
        let invalid = |reason: String| ClientError::InvalidUrl { url: base.to_owned(), reason };
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(invalid("does not begin with http:// or https://".to_owned()));
        }
        let root = Url::parse(base).map_err(|error| invalid(format!("is no address: {error}")))?;
        Ok(Self {
            http: http_client(redirect::policy(false))?,
            base: base.to_owned(),
            root,
            api_key,
        })
    }

    /// The address as it was given, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The parsed address.
    pub const fn root(&self) -> &Url {
        &self.root
    }

    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The address of a path below the root. Segments may hold any character; they are escaped.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.root.clone();
        // Every http and https URL has a path, so this cannot fail.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Sends a request with the API key. `place` names the server in errors.
    pub async fn send(&self, request: RequestBuilder, place: &str) -> Result<Response> {
        let request = match &self.api_key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        };
        let response = request.send().await.map_err(|error| unreachable(place, &error))?;
        redirect::check_not_redirected(place, &response)?;
        Ok(response)
    }

    /// Sends a request and reads the whole answer, within [`REQUEST_TIMEOUT`]: its status and body.
    pub async fn exchange(
        &self,
        request: RequestBuilder,
        place: &str,
    ) -> Result<(u16, bytes::Bytes)> {
        within_request_timeout(place, async {
            let response = self.send(request, place).await?;
            let status = response.status().as_u16();
            // The limit covers the body too: a server may stall in the middle of it.
            let body = response.bytes().await.map_err(|error| unreachable(place, &error))?;
            Ok((status, body))
        })
        .await
    }
}

/// Fails the call if it takes longer than [`REQUEST_TIMEOUT`].
pub async fn within_request_timeout<T>(
    place: &str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, call).await;
    answered.unwrap_or_else(|_| Err(timed_out(place, REQUEST_TIMEOUT)))
}

pub fn http_client(redirects: Policy) -> Result<reqwest::Client> {
    // A provider that the program has installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // Finds a peer that vanished without closing the connection.
        .tcp_keepalive(STREAM_IDLE_TIMEOUT)
        .redirect(redirects)
        .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ClientError::Setup(error.to_string()))
}

/// A request that failed in transport.
pub fn unreachable(place: &str, error: &reqwest::Error) -> ClientError {
    // A request that never had a connection cannot have had an effect.
    let sent = !(error.is_connect() || error.is_builder());
    // The innermost cause says most, such as "connection refused".
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ClientError::Unreachable { url: place.to_owned(), cause: cause.to_string(), sent }
}

pub fn timed_out(place: &str, limit: Duration) -> ClientError {
    // The server may be at work on the request, so it counts as sent.
    let cause = format!("no answer within {} seconds", limit.as_secs());
    ClientError::Unreachable { url: place.to_owned(), cause, sent: true }
}
