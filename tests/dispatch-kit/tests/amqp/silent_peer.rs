//! Tests against a peer that accepts connections and stays silent.

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;

/// Lets a dispatcher connect to a silent peer three times; returns the bytes that the peer received
/// the last time.
async fn received_by_a_silent_peer(scheme: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://127.0.0.1:{}/%2f", listener.local_addr().unwrap().port());
    let connect_timeout = Duration::from_millis(100);
    let options = AmqpOptions { connect_timeout, ..AmqpOptions::new(url.into()) };
    let dispatch = AmqpDispatch::start(options, None).unwrap();
    dispatch.waker().wake(wake("a", 1));
    let mut received = Vec::new();
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await.unwrap();
        received.clear();
        let end = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_end(&mut received)).await;
        end.expect("the connection is given up and its socket closed").unwrap();
    }
    dispatch.close().await;
    assert_eq!(dispatch.counts().dropped, 1);
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_silent_peer_are_given_up_and_closed() {
    assert_eq!(received_by_a_silent_peer("amqp").await, b"AMQP\x00\x00\x09\x01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amqps_url_starts_a_tls_handshake() {
    const TLS_HANDSHAKE: u8 = 22;
    assert_eq!(received_by_a_silent_peer("amqps").await.first(), Some(&TLS_HANDSHAKE));
}

#[tokio::test]
async fn a_missing_broker_is_an_error_of_declare_only() {
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
