//! A TCP proxy before the database that fails the way networks do.

use longhaul_runtime::spawn;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Treatment of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    /// Forwards everything.
    Open,
    /// Forwards nothing; neither end notices.
    Silent,
    /// Drops the server's answers.
    Mute,
    /// Drops the server's answers from the next COMMIT on.
    MuteFromCommit,
    /// Closes the client's end; the server does not notice.
    Cut,
}

#[derive(Default)]
struct Connections {
    modes: Vec<watch::Sender<ProxyMode>>,
    /// Set while new connections lose answers from a COMMIT on.
    losing: bool,
    /// Server halves of connections that were cut.
    kept: Vec<(Option<OwnedReadHalf>, Option<OwnedWriteHalf>)>,
}

/// Forwards to a database on 127.0.0.1. Failures apply to the connections that are open.
pub struct Proxy {
    port: u16,
    connections: Arc<Mutex<Connections>>,
}

impl Proxy {
    /// Starts a proxy before the database at this address.
    pub async fn before(url: &str) -> Self {
        let to: u16 = parts(url).1.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Connections::default()));
        let all = Arc::clone(&connections);
        spawn("proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                forward(&all, client, server);
            }
        });
        Self { port, connections }
    }

    /// URL of the same database through this proxy.
    pub fn url(&self, url: &str) -> String {
        let (front, _, rest) = parts(url);
        format!("{front}:{}/{rest}", self.port)
    }

    /// Stops forwarding.
    pub fn silence(&self) {
        self.set(ProxyMode::Silent);
    }

    /// Drops the server's answers.
    pub fn mute(&self) {
        self.set(ProxyMode::Mute);
    }

    /// Drops the server's answers from the next COMMIT on, also on new connections until a
    /// [cut](Self::cut).
    pub fn mute_from_commit(&self) {
        self.set(ProxyMode::MuteFromCommit);
    }

    /// Closes the clients' ends and keeps those to the server open.
    pub fn cut(&self) {
        self.set(ProxyMode::Cut);
    }

    fn set(&self, mode: ProxyMode) {
        let mut connections = self.connections.lock().unwrap();
        connections.losing = mode == ProxyMode::MuteFromCommit;
        for connection in &connections.modes {
            connection.send_replace(mode);
        }
    }
}

/// Splits a URL into the text before the port, the port, and the text behind it.
fn parts(url: &str) -> (&str, &str, &str) {
    let (place, rest) = url.rsplit_once('/').unwrap();
    let (front, port) = place.rsplit_once(':').unwrap();
    (front, port, rest)
}

fn forward(all: &Arc<Mutex<Connections>>, client: TcpStream, server: TcpStream) {
    let (mode, _) = watch::channel(ProxyMode::Open);
    let (asked, answered) = (mode.subscribe(), mode.subscribe());
    {
        let mut connections = all.lock().unwrap();
        if connections.losing {
            mode.send_replace(ProxyMode::MuteFromCommit);
        }
        connections.modes.push(mode.clone());
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let keep = Arc::clone(all);
    spawn("asked", async move {
        pump(&mut from_client, &mut to_server, asked.clone(), Some(&mode)).await;
        if *asked.borrow() == ProxyMode::Cut {
            keep.lock().unwrap().kept.push((None, Some(to_server)));
        }
    });
    let keep = Arc::clone(all);
    spawn("answered", async move {
        pump(&mut from_server, &mut to_client, answered.clone(), None).await;
        if *answered.borrow() == ProxyMode::Cut {
            keep.lock().unwrap().kept.push((Some(from_server), None));
        }
    });
}

/// Forwards one direction until an end closes it or it is cut. `asked` is set for the direction to
/// the server.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut mode: watch::Receiver<ProxyMode>,
    asked: Option<&watch::Sender<ProxyMode>>,
) {
    let mut cut = mode.clone();
    let forwarding = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let Ok(now) = mode.wait_for(|mode| *mode != ProxyMode::Silent).await.map(|mode| *mode)
            else {
                return;
            };
            if let Some(mode) = asked
                && now == ProxyMode::MuteFromCommit
                && buffer[..read].windows(6).any(|bytes| bytes == b"COMMIT")
            {
                mode.send_replace(ProxyMode::Mute);
            }
            let lost = asked.is_none() && now == ProxyMode::Mute;
            if !lost && to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forwarding => {}
        _ = cut.wait_for(|mode| *mode == ProxyMode::Cut) => {}
    }
}
