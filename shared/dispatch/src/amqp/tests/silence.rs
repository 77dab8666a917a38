//! Against something that accepts connections and then says nothing.

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;

/// Connects to a silent peer three times over, and gives what the peer heard the last time.
async fn heard_by_a_silent_peer(scheme: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://127.0.0.1:{}/%2f", listener.local_addr().unwrap().port());
    let connect_timeout = Duration::from_millis(100);
    let settings = AmqpOptions { connect_timeout, ..AmqpOptions::new(url.into()) };
    let dispatch = AmqpDispatch::start(settings, None).unwrap();
    dispatch.waker().wake(wake("a", 1));
    let mut heard = Vec::new();
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await.unwrap();
        heard.clear();
        let end = tokio::time::timeout(LIMIT, stream.read_to_end(&mut heard)).await;
        end.expect("the connection is given up and its socket closed").unwrap();
    }
    dispatch.close().await;
    assert_eq!(dispatch.counts().dropped, 1);
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_answers_is_left_without_a_trace() {
    assert_eq!(heard_by_a_silent_peer("amqp").await, b"AMQP\x00\x00\x09\x01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_with_tls_is_greeted_with_tls() {
    const HANDSHAKE: u8 = 22;
    assert_eq!(heard_by_a_silent_peer("amqps").await.first(), Some(&HANDSHAKE));
}

#[tokio::test]
async fn nobody_listening_is_an_error_of_declare_and_of_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("amqp://user:hunter2@127.0.0.1:{port}/%2f");
    let dispatch = AmqpDispatch::start(AmqpOptions::new(url.into()), None).unwrap();
    let refused = dispatch.declare(&[agent("a")]).await.unwrap_err();
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    let mut source = source(&dispatch, "a").await;
    source.pause().await;
    source.resume().await;
    dispatch.close().await;
    assert!(source.next().await.is_none());
}
