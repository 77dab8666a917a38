//! A small JSON-RPC and HTTP client for tests: it sends requests unchecked, however wrong, and
//! panics with the response when it is not what the test asked for.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::json_rpc::{JsonRpcError, outcome, request_object};
use crate::sse::EventStream;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A client of one server. Speaks A2A 1.0 by default; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    rpc_path: String,
    headers: HeaderMap,
    http: reqwest::Client,
}

/// A response with its whole body.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Self {
        // The HTTP client's TLS needs a provider even when only plain HTTP is used.
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error means that the test has already installed one, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT).build();
        let http = http.expect("the client's settings are valid");
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("a2a-version"),
            HeaderValue::from_static("1.0"),
        )]);
        Self {
            base: base.trim_end_matches('/').to_owned(),
            rpc_path: "/".to_owned(),
            headers,
            http,
        }
    }

    /// Sends this header with every request, replacing one of the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.insert(name, value.parse().expect("a header value"));
        self
    }

    /// Removes the header of this name.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Authenticates with this bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends JSON-RPC to this path instead of `/`.
    #[must_use]
    pub fn rpc_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.rpc_path);
        self
    }

    /// Calls a JSON-RPC method and returns its result; panics on an error.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.try_call(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method} was answered with {error:?}"))
    }

    /// Calls a JSON-RPC method and returns its error; panics on a result.
    pub async fn call_error(&self, method: &str, params: Value) -> JsonRpcError {
        let answer = self.try_call(method, params).await;
        answer.expect_err(method)
    }

    /// Calls a JSON-RPC method. Panics when the response is not JSON-RPC or answers another
    /// request.
    pub async fn try_call(&self, method: &str, params: Value) -> Result<Value, JsonRpcError> {
        let request = request_object(method, &params);
        let answer = self.post(&self.rpc_path, request.to_string()).await;
        let mut response = answer.json();
        assert_eq!(
            response["id"], request["id"],
            "{method} got the answer to something else: {response}"
        );
        outcome(&mut response)
            .unwrap_or_else(|| panic!("{method} got no JSON-RPC response: {response}"))
    }

    /// Calls a JSON-RPC method on a node that may be down or stopping; returns any failure as text.
    pub async fn call_or_reason(&self, method: &str, params: Value) -> Result<Value, String> {
        let request = request_object(method, &params);
        let post = self.request(reqwest::Method::POST, &self.rpc_path);
        let post = post.header("content-type", "application/json").body(request.to_string());
        let answer = read(post).await?;
        let mut response: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("no JSON: {error}"))?;
        match outcome(&mut response) {
            Some(Ok(result)) => Ok(result),
            other => Err(format!("{other:?}")),
        }
    }

    /// Opens a stream on a node that may be down or stopping; returns any failure as text.
    pub async fn stream_or_reason(
        &self,
        method: &str,
        params: Value,
    ) -> Result<EventStream, String> {
        let request = self.stream_request(method, &params);
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if !kind.unwrap_or_default().starts_with("text/event-stream") {
            return Err(response.text().await.unwrap_or_default());
        }
        Ok(EventStream::open(response).await)
    }

    fn stream_request(&self, method: &str, params: &Value) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, &self.rpc_path)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .body(request_object(method, params).to_string())
    }

    /// Calls a streaming JSON-RPC method. For its events see [`EventStream::next_result`].
    pub async fn stream(&self, method: &str, params: Value) -> EventStream {
        let response = self.stream_request(method, &params).send().await;
        let response = response.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        EventStream::open(response).await
    }

    /// Posts `body` unchanged, as `application/json` unless [`Client::header`] sets another type.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> HttpResponse {
        let mut request = self.request(reqwest::Method::POST, path).body(body);
        if !self.headers.contains_key("content-type") {
            request = request.header("content-type", "application/json");
        }
        read(request).await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> HttpResponse {
        read(self.request(reqwest::Method::GET, path))
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Sends a request with any method and an optional JSON body.
    pub async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> HttpResponse {
        let name = format!("{method} {path}");
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        read(request).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The status of a GET, or the reason why there is no response.
    pub async fn try_get_status(&self, path: &str) -> Result<u16, String> {
        read(self.request(reqwest::Method::GET, path)).await.map(|answer| answer.status)
    }

    /// A request with this client's headers, for cases that the other methods do not cover.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).headers(self.headers.clone())
    }
}

impl HttpResponse {
    /// The body as JSON; panics with status and text when it is not JSON.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|error| {
            panic!("no JSON ({error}) with status {}: {}", self.status, self.text())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<HttpResponse, String> {
    let response =
        request.timeout(ANSWER_LIMIT).send().await.map_err(|error| format!("{error:?}"))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.map_err(|error| format!("{error:?}"))?.to_vec();
    Ok(HttpResponse { status, headers, body })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Client, Duration};

    /// Serves one connection: sends `answer` once a request has begun to arrive. Returns the base
    /// address.
    async fn serve_once(answer: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("the client connects");
            let read = socket.read(&mut [0; 4096]).await.expect("the client asks");
            assert_ne!(read, 0);
            socket.write_all(answer.as_bytes()).await.expect("the client reads");
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_plain_answer_comes_with_its_status_headers_and_body() {
        let body = r#"{"ready":false}"#;
        let head =
            format!("HTTP/1.1 503 No\r\nRetry-After: 2\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = Client::new(&serve_once(head + body).await).get("/readyz").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
        assert_eq!(answer.json(), json!({"ready": false}));
    }

    #[tokio::test]
    async fn a_stream_yields_ids_and_results_until_the_server_ends_it() {
        let event = r#"{"jsonrpc":"2.0","id":1,"result":{"n":1}}"#;
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let base = serve_once(format!("{head}: hello\n\nid: 7\ndata: {event}\n\ndata: half")).await;
        let mut stream = Client::new(&base).stream("SendStreamingMessage", json!({})).await;
        let results = stream.collect_results(Duration::from_secs(20)).await;
        assert_eq!(results, [(Some("7".to_owned()), json!({"n": 1}))]);
        assert_eq!(stream.comments(), 1);
    }
}
