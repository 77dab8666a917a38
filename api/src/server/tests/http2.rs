//! HTTP/2 frame by frame, for client behaviour that no library shows.

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// A client connection that grants each response a window of this size.
struct Peer(TcpStream);

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    async fn connect(served: &Served, window: u32) -> Self {
        let mut peer = Self(served.sent("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await);
        let window = [&[0, 4][..], &window.to_be_bytes()].concat();
        peer.send(SETTINGS, 0, 0, &window).await;
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Sends a request without a body, with these literal HPACK headers.
    async fn get(&mut self, stream: u32, path: &str, more: &[u8]) {
        let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.as_bytes());
        block.extend([0x01, 1, b'x']);
        block.extend(more);
        let mut pieces = block.chunks(16 << 10).peekable();
        let mut kind = HEADERS;
        let mut ends_stream = 1;
        while let Some(piece) = pieces.next() {
            let ends_headers = if pieces.peek().is_none() { 4 } else { 0 };
            self.send(kind, ends_headers | ends_stream, stream, piece).await;
            (kind, ends_stream) = (CONTINUATION, 0);
        }
    }

    async fn allow(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// The next frame; `None` when the connection has ended.
    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        };
        in_time(read).await
    }

    /// The next frame of one of these kinds.
    async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// Asserts that the stream is reset and the connection goes on.
    async fn sees_reset(&mut self, stream: u32) {
        let end = self.next_of(&[RST_STREAM, GOAWAY]).await.unwrap();
        assert_eq!((end.kind, end.stream), (RST_STREAM, stream));
    }

    /// Asserts that another request is answered on the same connection.
    async fn is_answered(&mut self, stream: u32) {
        self.get(stream, "/", &[]).await;
        self.allow(stream, 100).await;
        let mut answer = Vec::new();
        while answer.len() < 6 {
            let frame = self.next_of(&[DATA, RST_STREAM, GOAWAY]).await.unwrap();
            assert_eq!((frame.kind, frame.stream), (DATA, stream));
            answer.extend(frame.payload);
            assert_eq!(frame.flags & 1 == 1, answer.len() == 6, "it ends with its bytes");
        }
        assert_eq!(answer, b"answer");
    }
}

/// Waits until no response holds the room.
async fn room_is_free(served: &Served) {
    // The router holds one reference.
    while Arc::strong_count(&served.room) > 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_response_that_is_not_read_is_reset_and_frees_its_memory() {
    let served = serve(ConnectionLimits { write_timeout: SHORT, ..LIMITS }).await;
    for window in [0, 1, 40_000] {
        let mut peer = Peer::connect(&served, window).await;
        peer.get(1, "/held", &[]).await;
        peer.sees_reset(1).await;
        in_time(room_is_free(&served)).await;
        peer.is_answered(3).await;
    }
}

#[tokio::test]
async fn a_small_response_with_a_closed_window_is_reset() {
    let served = serve(ConnectionLimits { write_timeout: SHORT, ..LIMITS }).await;
    let mut peer = Peer::connect(&served, 0).await;
    peer.get(1, "/", &[]).await;
    peer.sees_reset(1).await;
    peer.is_answered(3).await;
}

#[tokio::test]
async fn reading_one_byte_of_a_small_response_ends_the_connection() {
    let served = serve(ConnectionLimits { write_timeout: SHORT, ..LIMITS }).await;
    let mut peer = Peer::connect(&served, 1).await;
    peer.get(1, "/", &[]).await;
    while peer.next().await.is_some() {}
}

#[tokio::test]
async fn an_event_stream_that_is_not_read_is_reset() {
    let served = serve(ConnectionLimits { write_timeout: SHORT, ..LIMITS }).await;
    let mut peer = Peer::connect(&served, 10_000).await;
    peer.get(1, "/events", &[]).await;
    peer.sees_reset(1).await;
    peer.is_answered(3).await;
}

#[tokio::test]
async fn a_response_that_is_read_slowly_arrives_complete() {
    let served = serve(LIMITS).await;
    let mut peer = Peer::connect(&served, 0).await;
    peer.get(1, "/held", &[]).await;
    peer.allow(0, 2 << 20).await;
    let mut read = 0;
    for wanted in (1..=16).map(|step| step << 16) {
        peer.allow(1, 1 << 16).await;
        while read < wanted {
            let frame = peer.next_of(&[DATA, RST_STREAM, GOAWAY]).await.unwrap();
            assert_eq!(frame.kind, DATA);
            read += frame.payload.len();
        }
    }
    let end = peer.next_of(&[DATA, RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!((end.kind, end.flags & 1, end.payload.len()), (DATA, 1, 0));
    in_time(room_is_free(&served)).await;
}

#[tokio::test]
async fn too_large_headers_fail_only_their_own_request() {
    let served = serve(LIMITS).await;
    let mut peer = Peer::connect(&served, 1 << 16).await;
    let mut more = Vec::new();
    for _ in 0..15 {
        // A literal header that is not indexed: its name, and a value of 4,096 bytes.
        more.extend([0x00, 3, b'x', b'-', b'y', 0x7f, 0x81, 0x1f]);
        more.extend([b'v'; 4_096]);
    }
    peer.get(1, "/", &more).await;
    let refused = peer.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!((refused.kind, refused.stream), (HEADERS, 1), "a response: 431");
    peer.is_answered(3).await;
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let served = serve(ConnectionLimits { idle_timeout: SHORT, linger: SHORT, ..LIMITS }).await;
    let mut peer = Peer::connect(&served, 1 << 16).await;
    peer.is_answered(1).await;
    while peer.next().await.is_some() {}
}

#[tokio::test]
async fn waiting_calls_do_not_block_others_on_their_connection() {
    let served = serve(LIMITS).await;
    let mut peer = Peer::connect(&served, 1 << 16).await;
    for call in 0..110 {
        peer.get(2 * call + 1, "/waits", &[]).await;
    }
    // The shared slots are taken now: ten, as many as there may be connections.
    peer.get(221, "/waits", &[]).await;
    let refused = peer.next_of(&[DATA, RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!(
        (refused.kind, refused.stream),
        (DATA, 221),
        "the request is refused, and the connection goes on"
    );
    assert!(String::from_utf8(refused.payload).unwrap().contains("further connections"));
    for _ in 0..110 {
        served.go.notify_one();
        let answer = peer.next_of(&[DATA, RST_STREAM, GOAWAY]).await.unwrap();
        assert_eq!((answer.kind, &answer.payload[..]), (DATA, &b"answer"[..]));
    }
    peer.is_answered(223).await;
}

#[tokio::test]
async fn a_connection_may_have_more_than_a_hundred_waiting_calls() {
    let served = serve(ConnectionLimits { connections: 1_000, ..LIMITS }).await;
    let mut peer = Peer::connect(&served, 1 << 16).await;
    for call in 0..500 {
        peer.get(2 * call + 1, "/waits", &[]).await;
    }
    peer.is_answered(1_001).await;
}
