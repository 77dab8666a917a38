mod http2;

use super::*;
use axum::{
    body::{Body, Bytes},
    routing::get,
};
use futures::StreamExt;
use std::future::Future;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const NEVER: Duration = Duration::from_secs(3_600);

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 10,
    streams: 4_096,
    first_request_timeout: NEVER,
    idle_timeout: NEVER,
    write_timeout: NEVER,
    linger: NEVER,
};

struct Served {
    address: std::net::SocketAddr,
    draining: CancellationToken,
    server: JoinHandle<()>,
    /// Lets `/waits` answer.
    go: Arc<Notify>,
    /// Rung when `/waits` is asked.
    asked: Arc<Notify>,
    /// Held by the responses of `/held`.
    room: Arc<()>,
}

/// A large response body that holds `room` until it is gone.
fn held(room: Arc<()>) -> Bytes {
    struct Holding(Vec<u8>, #[expect(dead_code, reason = "it is only held")] Arc<()>);
    impl AsRef<[u8]> for Holding {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Holding(vec![0; 1 << 20], room))
}

/// Endless small events.
async fn events() -> Body {
    let event = || async { Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'.'; 1_000])) };
    Body::from_stream(futures::stream::repeat_with(event).then(|event| event))
}

async fn serve(limits: ConnectionLimits) -> Served {
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let waits = {
        let (go, asked) = (Arc::clone(&go), Arc::clone(&asked));
        move || async move {
            asked.notify_one();
            go.notified().await;
            "answer"
        }
    };
    let room = Arc::new(());
    let holds = Arc::clone(&room);
    let router = Router::new()
        .route("/", get(|| async { "answer" }))
        .route("/large", get(|| async { Bytes::from(vec![0; 64 << 20]) }))
        .route("/held", get(move || async move { held(holds) }))
        .route("/events", get(events))
        .route("/waits", get(waits));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let draining = CancellationToken::new();
    let stop = CancellationToken::new();
    let server =
        Server { handler: router, shows_peers: false, limits, draining: draining.clone(), stop };
    let server = longhaul_runtime::spawn("server", server.serve(listener));
    Served { address, draining, server, go, asked, room }
}

impl Served {
    /// Connects and sends this text.
    async fn sent(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn asks(&self, path: &str) -> TcpStream {
        self.sent(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("it must not take for ever")
}

/// Everything until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset counts as an end.
    let _ = in_time(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_disconnected() {
    let served = serve(ConnectionLimits { first_request_timeout: SHORT, ..LIMITS }).await;
    for text in ["", "GET / HT", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = served.sent(text).await;
        assert!(!rest(&mut stream).await.contains("answer"), "{text}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let served = serve(ConnectionLimits { idle_timeout: SHORT, ..LIMITS }).await;
    let mut stream = served.asks("/").await;
    stream.write_all(b"GET / HTTP").await.unwrap();
    assert_eq!(rest(&mut stream).await.matches("answer").count(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection() {
    let served = serve(ConnectionLimits { connections: 1, write_timeout: SHORT, ..LIMITS }).await;
    let _never_reads = served.asks("/large").await;
    let mut next = served.asks("/").await;
    let mut answer = [0; 15];
    in_time(next.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_drain_waits_for_responses_but_not_for_slow_readers() {
    let served = serve(ConnectionLimits { linger: SHORT, ..LIMITS }).await;
    let _idle = served.sent("").await;
    let _half = served.sent("GET / HT").await;
    let _never_reads = served.asks("/large").await;
    let mut waits = served.asks("/waits").await;
    in_time(served.asked.notified()).await;
    served.draining.cancel();
    // Several times as long as the drain waits for clients that do not read.
    tokio::time::sleep(SHORT * 4).await;
    assert!(!served.server.is_finished());
    served.go.notify_one();
    assert!(rest(&mut waits).await.contains("answer"));
    in_time(served.server).await.unwrap();
}
