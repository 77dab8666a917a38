//! A TCP proxy that fails the way networks do.
//!
//! Guarantee: a fault applies to all open and new connections from the return of the call until it
//! is switched off. A connection that is neither reset nor half-open loses and reorders nothing: a
//! black hole holds data back and releases it at its end. The proxy holds a bounded number of
//! connections and bytes, and all of it ends when the value is dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// Connections at a time; further ones wait in the kernel.
const MAX_CONNECTIONS: usize = 512;

/// Most chunks in flight in each direction of a connection.
const MAX_CHUNKS_IN_FLIGHT: usize = 64;

/// Largest chunk, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Time for which the server's end of a half-open connection is kept after its client has gone.
const STRANDED_SERVER_LINGER: Duration = Duration::from_secs(20);

/// Network faults in force.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    latency: Duration,
    /// Number of black holes. While there is one, nothing passes and neither end is notified.
    black_holes: u32,
    /// Connections with a lower number were reset.
    reset_before: u64,
    /// Connections with a lower number are half-open: nothing passes any more, and neither end is
    /// notified.
    stranded_before: u64,
    /// The number of the next connection.
    next: u64,
}

/// Forwards connections from a port of 127.0.0.1 to another one.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: Arc<watch::Sender<SocketAddr>>,
    faults: Arc<watch::Sender<Faults>>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Forwards to a server at `127.0.0.1:PORT`, which may be down at times. Needs a runtime.
    pub async fn before(upstream: &str) -> Self {
        Self::at("127.0.0.1", upstream).await.expect("there is a free port")
    }

    /// [`Proxy::before`] on another address of this machine, such as `::1`; fails where there is
    /// none.
    pub async fn at(host: &str, upstream: &str) -> io::Result<Self> {
        let upstream: SocketAddr = upstream.parse().expect("an address and port");
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr().expect("a bound socket has an address");
        let faults = Arc::new(watch::Sender::new(Faults::default()));
        let upstream = Arc::new(watch::Sender::new(upstream));
        let server = tokio::spawn(serve(listener, upstream.subscribe(), Arc::clone(&faults)));
        Ok(Self { address, upstream, faults, server })
    }

    /// The address on which the proxy listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Forwards new connections to another server from now on.
    pub fn redirect_to(&self, upstream: &str) {
        self.upstream.send_replace(upstream.parse().expect("an address and port"));
    }

    /// Delays all traffic by this much in each direction, without limiting the throughput.
    pub fn latency(&self, latency: Duration) {
        self.faults.send_modify(|faults| faults.latency = latency);
    }

    /// Ends all open connections with a reset at both ends.
    pub fn reset(&self) {
        self.faults.send_modify(|faults| faults.reset_before = faults.next);
    }

    /// Holds back all traffic in both directions: no data, no end, no reset. Each call needs one
    /// [`Proxy::pass`].
    pub fn black_hole(&self) {
        self.faults.send_modify(|faults| faults.black_holes += 1);
    }

    /// Ends one black hole. With the last one, held-back traffic continues.
    pub fn pass(&self) {
        self.faults.send_modify(|faults| {
            faults.black_holes = faults.black_holes.saturating_sub(1);
        });
    }

    /// Makes all open connections half-open for good: data is lost and neither end is notified. New
    /// connections work.
    pub fn strand(&self) {
        self.faults.send_modify(|faults| faults.stranded_before = faults.next);
    }

    /// Ends latency and all black holes. Held-back traffic continues.
    pub fn heal(&self) {
        self.faults.send_modify(|faults| {
            faults.latency = Duration::ZERO;
            faults.black_holes = 0;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    listener: TcpListener,
    upstream: watch::Receiver<SocketAddr>,
    faults: Arc<watch::Sender<Faults>>,
) {
    // Dropped with this future, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let mut number = 0;
                faults.send_modify(|faults| {
                    number = faults.next;
                    faults.next += 1;
                });
                let faults = ConnectionFaults { number, faults: faults.subscribe() };
                let upstream = *upstream.borrow();
                connections.spawn(connect(client, upstream, faults));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The faults as they concern one connection.
#[derive(Clone)]
struct ConnectionFaults {
    number: u64,
    faults: watch::Receiver<Faults>,
}

impl ConnectionFaults {
    fn latency(&self) -> Duration {
        self.faults.borrow().latency
    }

    async fn open(&mut self) {
        let _ = self.faults.wait_for(|faults| faults.black_holes == 0).await;
    }

    async fn reset(&mut self) {
        let number = self.number;
        let _ = self.faults.wait_for(|faults| number < faults.reset_before).await;
    }

    async fn stranded(&mut self) {
        let number = self.number;
        let _ = self.faults.wait_for(|faults| number < faults.stranded_before).await;
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, mut faults: ConnectionFaults) {
    faults.open().await;
    let Ok(server) = TcpStream::connect(upstream).await else {
        reset_at_drop(&client);
        return;
    };
    // Nagle's algorithm would add latency that no test asked for.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut answered) =
        (Pipe { from: from_client, to: to_server }, Pipe { from: from_server, to: to_client });
    let (mut reset, mut stranded) = (faults.clone(), faults.clone());
    let pumps = async { tokio::join!(asked.pump(faults.clone()), answered.pump(faults)) };
    let end = tokio::select! {
        biased;
        () = reset.reset() => ConnectionEnd::Reset,
        () = stranded.stranded() => ConnectionEnd::Stranded,
        _ = pumps => ConnectionEnd::Ended,
    };
    match end {
        ConnectionEnd::Ended => return,
        ConnectionEnd::Reset => {}
        ConnectionEnd::Stranded => {
            swallow(&asked.from).await;
            tokio::select! {
                () = sleep(STRANDED_SERVER_LINGER) => {}
                () = swallow(&answered.from) => {}
            }
        }
    }
    asked.reset();
    answered.reset();
}

enum ConnectionEnd {
    Ended,
    Reset,
    Stranded,
}

/// One direction of a connection.
struct Pipe {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl Pipe {
    /// Forwards until the sender closes or either end breaks, then closes towards the receiver.
    async fn pump(&mut self, faults: ConnectionFaults) {
        let (queue, due) = mpsc::channel(MAX_CHUNKS_IN_FLIGHT);
        tokio::join!(take(&self.from, queue, faults.clone()), give(&self.to, due, faults));
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.to).await;
    }

    /// Ends the connection with a reset instead of an orderly close.
    fn reset(self) {
        reset_at_drop(self.from.as_ref());
        self.to.forget();
    }
}

/// Reads chunks and stamps each with the time at which it is due.
async fn take(
    from: &OwnedReadHalf,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    mut faults: ConnectionFaults,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        faults.open().await;
        let read = match read(from, &mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let due = Instant::now() + faults.latency();
        if queue.send((due, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Writes chunks when they are due.
async fn give(
    to: &OwnedWriteHalf,
    mut due: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut faults: ConnectionFaults,
) {
    while let Some((at, chunk)) = due.recv().await {
        sleep_until(at).await;
        faults.open().await;
        if write(to, &chunk).await.is_err() {
            return;
        }
    }
    // The end of the connection is held back like data.
    faults.open().await;
}

async fn read(from: &OwnedReadHalf, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

async fn write(to: &OwnedWriteHalf, mut chunk: &[u8]) -> io::Result<()> {
    while !chunk.is_empty() {
        to.writable().await?;
        match to.try_write(chunk) {
            Ok(written) => chunk = &chunk[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads and discards until the other end closes.
async fn swallow(from: &OwnedReadHalf) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(1..) = read(from, &mut buffer).await {}
}

/// Makes the socket send a reset when it is closed, by setting its linger time to zero.
fn reset_at_drop(socket: &TcpStream) {
    // A socket that is closed already cannot be changed and need not be.
    let _ = socket.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::Proxy;

    const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
    const SILENCE_PERIOD: Duration = Duration::from_millis(200);

    /// A proxy in front of an echo server.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Proxy::before(&address).await
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.expect("the proxy listens")
    }

    async fn say(socket: &mut TcpStream, word: &[u8; 4]) {
        socket.write_all(word).await.expect("the connection stands");
    }

    async fn hear(socket: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        let mut word = [0; 4];
        let read =
            timeout(REPLY_TIMEOUT, socket.read_exact(&mut word)).await.expect("there is an answer");
        read.map(|_| word)
    }

    async fn is_silent(socket: &mut TcpStream) -> bool {
        timeout(SILENCE_PERIOD, socket.read(&mut [0; 1])).await.is_err()
    }

    #[tokio::test]
    async fn an_open_proxy_forwards_both_ways_and_the_end_too() {
        let proxy = echo().await;
        let mut socket = connect(&proxy).await;
        say(&mut socket, b"ping").await;
        assert_eq!(hear(&mut socket).await.expect("an echo"), *b"ping");
        socket.shutdown().await.expect("it stands");
        assert_eq!(
            timeout(REPLY_TIMEOUT, socket.read(&mut [0; 1])).await.expect("an end").expect("eof"),
            0
        );
    }

    #[tokio::test]
    async fn latency_delays_each_way_without_holding_back_what_follows() {
        let proxy = echo().await;
        let mut socket = connect(&proxy).await;
        proxy.latency(Duration::from_millis(50));
        let begun = Instant::now();
        for _ in 0..20 {
            say(&mut socket, b"ping").await;
        }
        for _ in 0..20 {
            hear(&mut socket).await.expect("an echo");
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(100), "{took:?}");
        assert!(took < Duration::from_secs(1), "twenty words one after the other: {took:?}");
    }

    #[tokio::test]
    async fn a_black_hole_holds_data_back_silently_until_it_ends() {
        let proxy = echo().await;
        let mut old = connect(&proxy).await;
        say(&mut old, b"ping").await;
        hear(&mut old).await.expect("an echo");
        proxy.black_hole();
        let mut new = connect(&proxy).await;
        say(&mut old, b"old!").await;
        say(&mut new, b"new!").await;
        assert!(is_silent(&mut old).await && is_silent(&mut new).await);
        proxy.heal();
        assert_eq!(hear(&mut old).await.expect("an echo"), *b"old!");
        assert_eq!(hear(&mut new).await.expect("an echo"), *b"new!");
    }

    #[tokio::test]
    async fn a_reset_ends_what_is_open_and_nothing_else() {
        let proxy = echo().await;
        let mut socket = connect(&proxy).await;
        say(&mut socket, b"ping").await;
        hear(&mut socket).await.expect("an echo");
        proxy.reset();
        let error = hear(&mut socket).await.expect_err("the connection is gone");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut socket = connect(&proxy).await;
        say(&mut socket, b"ping").await;
        assert_eq!(hear(&mut socket).await.expect("an echo"), *b"ping");
    }

    #[tokio::test]
    async fn a_stranded_connection_stays_silent_while_new_ones_work() {
        let proxy = echo().await;
        let mut old = connect(&proxy).await;
        say(&mut old, b"ping").await;
        hear(&mut old).await.expect("an echo");
        proxy.strand();
        say(&mut old, b"ping").await;
        assert!(is_silent(&mut old).await);
        let mut new = connect(&proxy).await;
        say(&mut new, b"ping").await;
        assert_eq!(hear(&mut new).await.expect("an echo"), *b"ping");
    }

    #[tokio::test]
    async fn a_dropped_proxy_leaves_no_connection() {
        let proxy = echo().await;
        let mut socket = connect(&proxy).await;
        say(&mut socket, b"ping").await;
        hear(&mut socket).await.expect("an echo");
        let address = proxy.address();
        drop(proxy);
        let ended = timeout(REPLY_TIMEOUT, socket.read(&mut [0; 1])).await.expect("it ends");
        assert!(matches!(ended, Ok(0) | Err(_)));
        crate::eventually(REPLY_TIMEOUT, "nobody listens", async || {
            TcpStream::connect(&address).await.err().ok_or("somebody does")
        })
        .await;
    }
}
