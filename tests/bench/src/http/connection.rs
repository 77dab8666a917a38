//! One HTTP/1.1 connection, and the event stream that a request can turn it into.

use super::{
    message::call_body,
    sse_parser::{SseEvent, SseParser},
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1::{Builder, Connection as Link, SendRequest},
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use std::{fmt, pin::pin};
use tokio::net::TcpStream;

/// Error of a request.
#[derive(Debug)]
pub struct RequestError(pub String);

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for RequestError {
    fn from(error: E) -> Self {
        let cause = error.source().map(|cause| format!(": {cause}"));
        Self(format!("{error}{}", cause.unwrap_or_default()))
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl HttpAnswer {
    /// The body as JSON. Panics when it is invalid.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A TCP connection for one request at a time.
pub struct HttpConnection {
    headers: HeaderMap,
    sender: SendRequest<Full<Bytes>>,
    link: Link<TokioIo<TcpStream>, Full<Bytes>>,
    ended: bool,
}

impl HttpConnection {
    /// Connects to a base URL, `http://127.0.0.1:PORT`.
    pub async fn open(base: &str) -> Result<Self, RequestError> {
        let address = base.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, link) = Builder::new().handshake(TokioIo::new(stream)).await?;
        let headers = HeaderMap::from_iter([
            (HOST, HeaderValue::from_str(address)?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("a2a-version"), HeaderValue::from_static("1.0")),
        ]);
        Ok(Self { headers, sender, link, ended: false })
    }

    /// Posts a body, and reads the complete answer.
    pub async fn post(
        &mut self,
        path: &'static str,
        body: Bytes,
    ) -> Result<HttpAnswer, RequestError> {
        let request = self.request(path, body);
        self.answer(request).await
    }

    /// Makes a JSON-RPC call, and reads the complete answer.
    pub async fn call(
        &mut self,
        path: &'static str,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<HttpAnswer, RequestError> {
        self.post(path, call_body(method, params)).await
    }

    /// Posts a body that is answered with an event stream, which takes over the connection. A
    /// refusal is an error.
    pub async fn events(
        mut self,
        path: &'static str,
        body: Bytes,
    ) -> Result<SseEvents, RequestError> {
        let request = self.request(path, body);
        let response = self.response(request).await?;
        let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            let status = response.status();
            let refusal = self.read(response.into_body()).await?;
            return Err(RequestError(format!("{status}: {}", String::from_utf8_lossy(&refusal))));
        }
        Ok(SseEvents { connection: self, body: response.into_body(), parser: SseParser::default() })
    }

    fn request(&self, path: &'static str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        request.headers_mut().clone_from(&self.headers);
        request
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<HttpAnswer, RequestError> {
        let response = self.response(request).await?;
        let (head, body) = response.into_parts();
        let body = self.read(body).await?;
        Ok(HttpAnswer { status: head.status, headers: head.headers, body })
    }

    async fn response(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RequestError> {
        let mut response = pin!(self.sender.send_request(request));
        if !self.ended {
            tokio::select! {
                biased;
                response = &mut response => return Ok(response?),
                _ = &mut self.link => self.ended = true,
            }
        }
        Ok(response.await?)
    }

    async fn read(&mut self, mut body: Incoming) -> Result<Bytes, RequestError> {
        let mut all: Option<BytesMut> = None;
        let mut first = Bytes::new();
        while let Some(data) = self.frame(&mut body).await? {
            match &mut all {
                Some(all) => all.extend_from_slice(&data),
                None if first.is_empty() => first = data,
                None => {
                    let mut joined = BytesMut::from(&first[..]);
                    joined.extend_from_slice(&data);
                    all = Some(joined);
                }
            }
        }
        Ok(all.map_or(first, BytesMut::freeze))
    }

    /// The next bytes of a body, or `None` at its end.
    async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, RequestError> {
        loop {
            let mut next = pin!(body.frame());
            let frame = if self.ended {
                next.await
            } else {
                tokio::select! {
                    biased;
                    frame = &mut next => frame,
                    _ = &mut self.link => { self.ended = true; continue; }
                }
            };
            match frame {
                None => return Ok(None),
                Some(frame) => match frame?.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => {}
                },
            }
        }
    }
}

/// An event stream. Dropping it closes the connection.
pub struct SseEvents {
    connection: HttpConnection,
    body: Incoming,
    parser: SseParser,
}

impl SseEvents {
    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<SseEvent>, RequestError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            match self.connection.frame(&mut self.body).await? {
                Some(data) => self.parser.feed(data),
                None => return Ok(None),
            }
        }
    }
}
