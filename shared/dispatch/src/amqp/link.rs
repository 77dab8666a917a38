//! A connection to the broker that can always be got rid of.
//!
//! Guarantee: opening and closing are bounded in time, and a link that is dropped leaves neither socket nor thread behind,
//! whatever the peer does: its socket is shut down beneath the AMQP client, which otherwise waits for ever on a peer that
//! accepts a connection and then says nothing.

use std::{io, time::Duration};

use async_compat::Compat;
use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    tcp::{AsyncTcpStream, TLSConfig},
    types::{AMQPValue, FieldTable, LongString},
    uri::{AMQPAuthority, AMQPScheme, AMQPUri},
};
use longhaul_domain::AgentName;
use tokio::{net::TcpStream, time::timeout};

use super::{
    address::BrokerAddress,
    settings::AmqpOptions,
    socket::{Socket, SocketGuard},
};
use crate::DispatchError;

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Why a link could not be opened or has to be given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error(transparent)]
    Settings(#[from] DispatchError),
    #[error("{0}")]
    Lost(&'static str),
    /// The broker answers, but not about this queue.
    #[error("the broker does not answer for the queue of {0}")]
    Stuck(AgentName),
}

impl Trouble {
    /// What an operator can do about it, where that is known.
    pub(super) fn advice(&self, settings: &AmqpOptions) -> Option<String> {
        match self {
            Self::Broker(error) if refused_with(error, ACCESS_REFUSED) => Some(settings.rights()),
            _ => None,
        }
    }
}

/// What the broker says of a queue.
pub(super) struct Depth {
    /// Messages that wait for a consumer.
    pub(super) ready: u32,
    /// Consumers, of all processes.
    pub(super) consumers: u32,
}

/// An open connection.
pub(super) struct Link {
    // Dropped before the socket is shut down.
    connection: Connection,
    _socket: SocketGuard,
}

impl Link {
    /// Connects; `role` names the connection in the broker's lists.
    pub(super) async fn open(settings: &AmqpOptions, role: &str) -> Result<Self, Trouble> {
        let address = settings.address()?;
        let uri = address.uri.clone();
        let socket = SocketGuard::default();
        let name = LongString::from(format!("{} {role}", settings.prefix));
        let properties = ConnectionProperties::default().with_connection_name(name);
        let (shared, limit) = (socket.socket(), settings.connect_timeout);
        let connect = async move |_: AMQPUri, _| match timeout(limit, dial(&address, &shared)).await
        {
            Ok(stream) => stream.map_err(lapin::Error::from),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        let runtime = lapin::runtime::default_runtime()?;
        let connection = Connection::connector(uri, runtime, connect, properties);
        // Longer than the limit of its first half, so that the second has time of its own.
        let connection = timeout(limit * 2, connection).await;
        let connection = connection.map_err(|_| Trouble::Lost("the AMQP handshake hangs"))??;
        Ok(Self { connection, _socket: socket })
    }

    /// A new channel.
    pub(super) async fn channel(&self) -> Result<Channel, Trouble> {
        Ok(self.connection.create_channel().await?)
    }

    /// Whether the broker has stopped reading publishes because it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the connection fails.
    pub(super) async fn failure(&self) -> Trouble {
        use futures::StreamExt;
        let mut events = Box::pin(self.connection.events_listener());
        // The events before the listener existed are not heard, so the state is asked too.
        if !self.connection.status().connected() {
            return Trouble::Lost("the connection is closed");
        }
        while let Some(event) = events.next().await {
            if let lapin::Event::Error(error) = event {
                return error.into();
            }
        }
        Trouble::Lost("the connection is closed")
    }

    /// Makes the queue of an agent, on a channel of its own that a refusal may close.
    ///
    /// A queue that exists with other arguments is used as it is: whoever made it so had a reason, and hints fare well in
    /// any queue.
    pub(super) async fn declare(
        &self,
        settings: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), Trouble> {
        let channel = self.channel().await?;
        let queue = settings.queue(agent);
        let options = QueueDeclareOptions::durable();
        match channel.queue_declare(queue.as_str().into(), options, arguments(settings)).await {
            Ok(_) => {
                // The queue is there; a channel that cannot be closed ends with its connection.
                let _ = channel.close(200, "declared".into()).await;
                Ok(())
            }
            Err(error) if refused_with(&error, PRECONDITION_FAILED) => {
                tracing::warn!(queue, %error, "the queue exists with other arguments and is used as it is");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Throws the queue of an agent away. Its hints are lost, which costs a probe interval.
    ///
    /// A broker that was killed just after it made a quorum queue may remember the queue and not its only member; such a
    /// queue never answers again, and can be neither consumed nor made anew until it is deleted.
    pub(super) async fn discard(
        &self,
        settings: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), Trouble> {
        let (channel, queue) = (self.channel().await?, settings.queue(agent));
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        tracing::warn!(%agent, deleted, "the queue did not answer and was thrown away");
        Ok(())
    }

    /// How the queue of an agent is; `None` when it does not exist.
    pub(super) async fn look(
        &self,
        settings: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<Option<Depth>, Trouble> {
        let channel = self.channel().await?;
        let (queue, options) = (settings.queue(agent), QueueDeclareOptions::durable().passive());
        match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
            Ok(queue) => {
                // As above.
                let _ = channel.close(200, "looked".into()).await;
                let (ready, consumers) = (queue.message_count(), queue.consumer_count());
                Ok(Some(Depth { ready, consumers }))
            }
            Err(error) if refused_with(&error, NOT_FOUND) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says goodbye, briefly.
    pub(super) async fn close(self) {
        if let Ok(Err(error)) = timeout(CLOSE_LIMIT, self.connection.close(200, "bye".into())).await
        {
            tracing::debug!(%error, "the broker connection was gone before its close");
        }
    }
}

async fn dial(
    address: &BrokerAddress,
    socket: &Socket,
) -> io::Result<AsyncTcpStream<Compat<TcpStream>>> {
    let AMQPAuthority { host, port, .. } = &address.uri.authority;
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    socket.hold(&stream)?;
    let stream = AsyncTcpStream::Plain(Compat::new(stream));
    match address.uri.scheme {
        AMQPScheme::AMQP => Ok(stream),
        AMQPScheme::AMQPS => {
            let authorities = match &address.ca_file {
                // Read anew each time: it may have been renewed.
                Some(file) => Some(tokio::fs::read_to_string(file).await?),
                None => None,
            };
            let config = TLSConfig { cert_chain: authorities.as_deref(), ..TLSConfig::default() };
            stream.into_tls(host, config).await.map_err(|error| explained(host, &error))
        }
    }
}

/// The failure of a TLS handshake, with what to do about it.
fn explained(host: &str, error: &io::Error) -> io::Error {
    let why = error.to_string();
    io::Error::new(
        io::ErrorKind::InvalidData,
        if why.contains("certificate") {
            format!(
                "the certificate of the broker at {host} is refused ({why}): it must name this host and come from a CA of the \
                 system or of the file that `cacertfile` in amqp.url names"
            )
        } else {
            format!(
                "no TLS with the broker at {host} ({why}): it has a port of its own for it, mostly 5671"
            )
        },
    )
}

/// A quorum queue: its hints survive the loss of a node, are bounded in age and number, and the oldest make room.
///
/// Brokers from version 4 discard what was handed back some twenty times, which costs a hint.
fn arguments(settings: &AmqpOptions) -> FieldTable {
    let ttl = i64::try_from(settings.message_ttl.as_millis()).unwrap_or(i64::MAX);
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(ttl));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(settings.queue_length.into()));
    table.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    table
}

fn refused_with(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == code)
}
