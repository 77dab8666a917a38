//! A TCP proxy that fails the way networks do.
//!
//! Guarantee: what is switched on holds for every connection, the open ones and those to come, from the return of the call
//! until it is switched off. Nothing is reordered or lost on a connection that is neither reset nor stranded: a black hole
//! holds data back and lets it go when it ends. The proxy holds a bounded number of connections and bytes, and all of it
//! ends when the value is dropped.

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
const CONNECTIONS: usize = 512;

/// Chunks on their way in each direction of a connection.
const IN_FLIGHT: usize = 64;

/// Bytes of a chunk.
const CHUNK: usize = 16 * 1024;

/// How long the server's end of a stranded connection is kept after its client has gone.
const STRANDED: Duration = Duration::from_secs(20);

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    latency: Duration,
    /// Nothing passes, and nobody is told, as long as there is a black hole.
    black_holes: u32,
    /// Connections with a lower number than this were reset.
    reset_before: u64,
    /// Connections with a lower number than this never pass anything again, and nobody is told.
    stranded_before: u64,
    /// The number of the next connection.
    next: u64,
}

/// Forwards connections from a port of 127.0.0.1 to another one.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: Arc<watch::Sender<SocketAddr>>,
    weather: Arc<watch::Sender<Weather>>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Forwards to a server at `127.0.0.1:PORT`, which may come and go. Needs a runtime.
    pub async fn before(upstream: &str) -> Self {
        Self::at("127.0.0.1", upstream).await.expect("there is a free port")
    }

    /// [`Proxy::before`] that listens at another address of this machine, such as `::1`; an error where it has none.
    pub async fn at(host: &str, upstream: &str) -> io::Result<Self> {
        let upstream: SocketAddr = upstream.parse().expect("an address and port");
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr().expect("a bound socket has an address");
        let weather = Arc::new(watch::Sender::new(Weather::default()));
        let upstream = Arc::new(watch::Sender::new(upstream));
        let server = tokio::spawn(serve(listener, upstream.subscribe(), Arc::clone(&weather)));
        Ok(Self { address, upstream, weather, server })
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Leads connections that are made from now on to another server.
    pub fn lead_to(&self, upstream: &str) {
        self.upstream.send_replace(upstream.parse().expect("an address and port"));
    }

    /// Delays everything by this much in each direction, however much it is.
    pub fn latency(&self, latency: Duration) {
        self.weather.send_modify(|weather| weather.latency = latency);
    }

    /// Ends all open connections with a reset at both ends.
    pub fn reset(&self) {
        self.weather.send_modify(|weather| weather.reset_before = weather.next);
    }

    /// Passes nothing on any more, in either direction: no data, no end, no reset. Until as many [`Proxy::pass`] followed.
    pub fn black_hole(&self) {
        self.weather.send_modify(|weather| weather.black_holes += 1);
    }

    /// Ends one black hole. With the last one, what was held back goes on.
    pub fn pass(&self) {
        self.weather.send_modify(|weather| {
            weather.black_holes = weather.black_holes.saturating_sub(1);
        });
    }

    /// Leaves the open connections half-open for good: what is sent on them vanishes, and neither end is told. New ones work.
    pub fn strand(&self) {
        self.weather.send_modify(|weather| weather.stranded_before = weather.next);
    }

    /// Ends latency and every black hole. What was held back goes on.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            weather.latency = Duration::ZERO;
            weather.black_holes = 0;
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
    weather: Arc<watch::Sender<Weather>>,
) {
    // Dropped with this future, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let mut number = 0;
                weather.send_modify(|weather| {
                    number = weather.next;
                    weather.next += 1;
                });
                let weather = Sky { number, weather: weather.subscribe() };
                let upstream = *upstream.borrow();
                connections.spawn(connect(client, upstream, weather));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The weather of one connection.
#[derive(Clone)]
struct Sky {
    number: u64,
    weather: watch::Receiver<Weather>,
}

impl Sky {
    fn latency(&self) -> Duration {
        self.weather.borrow().latency
    }

    async fn open(&mut self) {
        let _ = self.weather.wait_for(|weather| weather.black_holes == 0).await;
    }

    async fn reset(&mut self) {
        let number = self.number;
        let _ = self.weather.wait_for(|weather| number < weather.reset_before).await;
    }

    async fn stranded(&mut self) {
        let number = self.number;
        let _ = self.weather.wait_for(|weather| number < weather.stranded_before).await;
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, mut sky: Sky) {
    sky.open().await;
    let Ok(server) = TcpStream::connect(upstream).await else {
        reset_at_drop(&client);
        return;
    };
    // Latency is what is asked for, and no more.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut answered) =
        (Pipe { from: from_client, to: to_server }, Pipe { from: from_server, to: to_client });
    let (mut reset, mut stranded) = (sky.clone(), sky.clone());
    let pumps = async { tokio::join!(asked.pump(sky.clone()), answered.pump(sky)) };
    let fate = tokio::select! {
        biased;
        () = reset.reset() => Fate::Reset,
        () = stranded.stranded() => Fate::Stranded,
        _ = pumps => Fate::Ended,
    };
    match fate {
        Fate::Ended => return,
        Fate::Reset => {}
        Fate::Stranded => {
            swallow(&asked.from).await;
            tokio::select! {
                () = sleep(STRANDED) => {}
                () = swallow(&answered.from) => {}
            }
        }
    }
    asked.reset();
    answered.reset();
}

enum Fate {
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
    /// Forwards until the sending end closes or either breaks; then the receiving end is told likewise.
    async fn pump(&mut self, sky: Sky) {
        let (queue, due) = mpsc::channel(IN_FLIGHT);
        tokio::join!(take(&self.from, queue, sky.clone()), give(&self.to, due, sky));
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.to).await;
    }

    /// Ends it with a reset instead of an orderly end.
    fn reset(self) {
        reset_at_drop(self.from.as_ref());
        self.to.forget();
    }
}

/// Reads chunks and notes when each is due.
async fn take(from: &OwnedReadHalf, queue: mpsc::Sender<(Instant, Vec<u8>)>, mut sky: Sky) {
    let mut buffer = vec![0; CHUNK];
    loop {
        sky.open().await;
        let read = match read(from, &mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let due = Instant::now() + sky.latency();
        if queue.send((due, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Writes chunks when they are due.
async fn give(to: &OwnedWriteHalf, mut due: mpsc::Receiver<(Instant, Vec<u8>)>, mut sky: Sky) {
    while let Some((at, chunk)) = due.recv().await {
        sleep_until(at).await;
        sky.open().await;
        if write(to, &chunk).await.is_err() {
            return;
        }
    }
    // An end is news too.
    sky.open().await;
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

/// Reads and forgets until the other end closes.
async fn swallow(from: &OwnedReadHalf) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(1..) = read(from, &mut buffer).await {}
}

/// A socket without linger time sends a reset when it is closed.
fn reset_at_drop(socket: &TcpStream) {
    // One that is closed already cannot be changed and need not be.
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

    const LIMIT: Duration = Duration::from_secs(20);
    const SILENCE: Duration = Duration::from_millis(200);

    /// A proxy before a server that sends back what it gets.
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
        let read = timeout(LIMIT, socket.read_exact(&mut word)).await.expect("there is an answer");
        read.map(|_| word)
    }

    async fn is_silent(socket: &mut TcpStream) -> bool {
        timeout(SILENCE, socket.read(&mut [0; 1])).await.is_err()
    }

    #[tokio::test]
    async fn an_open_proxy_forwards_both_ways_and_the_end_too() {
        let proxy = echo().await;
        let mut socket = connect(&proxy).await;
        say(&mut socket, b"ping").await;
        assert_eq!(hear(&mut socket).await.expect("an echo"), *b"ping");
        socket.shutdown().await.expect("it stands");
        assert_eq!(
            timeout(LIMIT, socket.read(&mut [0; 1])).await.expect("an end").expect("eof"),
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
    async fn a_black_hole_tells_nobody_and_lets_go_when_it_ends() {
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
        let ended = timeout(LIMIT, socket.read(&mut [0; 1])).await.expect("it ends");
        assert!(matches!(ended, Ok(0) | Err(_)));
        crate::eventually(LIMIT, "nobody listens", async || {
            TcpStream::connect(&address).await.err().ok_or("somebody does")
        })
        .await;
    }
}
