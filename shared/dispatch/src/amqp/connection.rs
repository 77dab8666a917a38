//! A broker connection that can always be dropped.
//!
//! Guarantee: opening and closing are bounded in time, and a dropped connection leaves neither
//! socket nor thread behind, whatever the peer does. The guard shuts the socket down beneath the
//! AMQP client, whose thread would otherwise wait for ever on a peer that accepts a connection and
//! stays silent.

use std::{
    io,
    net::{self, Shutdown},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_compat::Compat;
use futures::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    tcp::{AsyncTcpStream, TLSConfig},
    types::{AMQPValue, FieldTable, LongString},
    uri::{AMQPAuthority, AMQPScheme, AMQPUri},
};
use longhaul_domain::AgentName;
use tokio::{net::TcpStream, time::timeout};

use super::options::{AmqpOptions, BrokerAddress};
use crate::DispatchError;

// Reply codes of AMQP 0-9-1.
const REPLY_SUCCESS: u16 = 200;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// Maximum time of an orderly close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The error of a connection that cannot be opened or must be given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum AmqpError {
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error(transparent)]
    Options(#[from] DispatchError),
    #[error("{0}")]
    Lost(&'static str),
    /// The broker responds, but not about this queue.
    #[error("the broker does not answer for the queue of {0}")]
    Unresponsive(AgentName),
}

impl AmqpError {
    /// Advice for the operator, if there is any.
    pub(super) fn advice(&self, options: &AmqpOptions) -> Option<String> {
        match self {
            Self::Broker(error) if has_code(error, ACCESS_REFUSED) => {
                Some(options.required_permissions())
            }
            _ => None,
        }
    }
}

/// The state of a queue.
pub(super) struct QueueInfo {
    /// The number of messages that wait for a consumer.
    pub(super) ready: u32,
    /// The number of consumers, of all processes.
    pub(super) consumers: u32,
}

/// An open connection.
pub(super) struct BrokerConnection {
    // Declared first: dropped before the socket is shut down.
    connection: Connection,
    _socket: SocketGuard,
}

impl BrokerConnection {
    /// Connects. `role` names the connection in the broker's lists.
    pub(super) async fn open(options: &AmqpOptions, role: &str) -> Result<Self, AmqpError> {
        let address = options.address()?;
        let uri = address.uri.clone();
        let socket = SocketGuard::default();
        let name = LongString::from(format!("{} {role}", options.prefix));
        let properties = ConnectionProperties::default().with_connection_name(name);
        let (shared, limit) = (socket.slot(), options.connect_timeout);
        let connect = async move |_: AMQPUri, _| match timeout(limit, dial(&address, &shared)).await
        {
            Ok(stream) => stream.map_err(lapin::Error::from),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        let runtime = lapin::runtime::default_runtime()?;
        let connection = Connection::connector(uri, runtime, connect, properties);
        // Twice the limit: dialing has one of its own, the AMQP handshake gets the rest.
        let connection = timeout(limit * 2, connection).await;
        let connection = connection.map_err(|_| AmqpError::Lost("the AMQP handshake hangs"))??;
        Ok(Self { connection, _socket: socket })
    }

    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<Channel, AmqpError> {
        Ok(self.connection.create_channel().await?)
    }

    /// Tells whether the broker has blocked the connection because it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the connection fails, and returns the error.
    pub(super) async fn failed(&self) -> AmqpError {
        let mut events = Box::pin(self.connection.events_listener());
        // The listener misses earlier events, so check the state too.
        if !self.connection.status().connected() {
            return AmqpError::Lost("the connection is closed");
        }
        while let Some(event) = events.next().await {
            if let lapin::Event::Error(error) = event {
                return error.into();
            }
        }
        AmqpError::Lost("the connection is closed")
    }

    /// Declares the queue of an agent, on a separate channel because a refusal closes it.
    ///
    /// An existing queue with other arguments is used unchanged: an operator may have made it so,
    /// and any queue will do for hints.
    pub(super) async fn declare_queue(
        &self,
        options: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), AmqpError> {
        let channel = self.channel().await?;
        let queue = options.queue_name(agent);
        let durable = QueueDeclareOptions::durable();
        let arguments = queue_arguments(options);
        match channel.queue_declare(queue.as_str().into(), durable, arguments).await {
            Ok(_) => {
                // The queue exists; a channel that fails to close ends with its connection.
                let _ = channel.close(REPLY_SUCCESS, "declared".into()).await;
                Ok(())
            }
            Err(error) if has_code(&error, PRECONDITION_FAILED) => {
                tracing::warn!(queue, %error, "queue exists with other arguments; using it unchanged");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the queue of an agent. Its hints are lost, which costs one poll interval.
    ///
    /// A broker killed just after it declared a quorum queue may remember the queue but not its
    /// only member. Such a queue never responds again, and can be neither consumed nor declared
    /// until it is deleted.
    pub(super) async fn delete_queue(
        &self,
        options: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<(), AmqpError> {
        let (channel, queue) = (self.channel().await?, options.queue_name(agent));
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        tracing::warn!(%agent, deleted, "unresponsive queue deleted");
        Ok(())
    }

    /// The state of the queue of an agent; `None` if it does not exist.
    pub(super) async fn inspect_queue(
        &self,
        options: &AmqpOptions,
        agent: &AgentName,
    ) -> Result<Option<QueueInfo>, AmqpError> {
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions::durable().passive();
        let queue = options.queue_name(agent);
        match channel.queue_declare(queue.into(), passive, FieldTable::default()).await {
            Ok(queue) => {
                // As in `declare_queue`.
                let _ = channel.close(REPLY_SUCCESS, "inspected".into()).await;
                let (ready, consumers) = (queue.message_count(), queue.consumer_count());
                Ok(Some(QueueInfo { ready, consumers }))
            }
            Err(error) if has_code(&error, NOT_FOUND) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the connection in an orderly way, within [`CLOSE_TIMEOUT`].
    pub(super) async fn close(self) {
        let close = self.connection.close(REPLY_SUCCESS, "closed".into());
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, close).await {
            tracing::debug!(%error, "broker connection closed already");
        }
    }
}

async fn dial(
    address: &BrokerAddress,
    socket: &SocketSlot,
) -> io::Result<AsyncTcpStream<Compat<TcpStream>>> {
    let AMQPAuthority { host, port, .. } = &address.uri.authority;
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    socket.fill(&stream)?;
    let stream = AsyncTcpStream::Plain(Compat::new(stream));
    match address.uri.scheme {
        AMQPScheme::AMQP => Ok(stream),
        AMQPScheme::AMQPS => {
            let authorities = match &address.ca_file {
                // Read at each connect: the file may have been renewed.
                Some(file) => Some(tokio::fs::read_to_string(file).await?),
                None => None,
            };
            let config = TLSConfig { cert_chain: authorities.as_deref(), ..TLSConfig::default() };
            stream.into_tls(host, config).await.map_err(|error| explain_tls_error(host, &error))
        }
    }
}

/// Adds advice to the error of a TLS handshake.
fn explain_tls_error(host: &str, error: &io::Error) -> io::Error {
    let cause = error.to_string();
    io::Error::new(
        io::ErrorKind::InvalidData,
        if cause.contains("certificate") {
            format!(
                "the certificate of the broker at {host} is refused ({cause}): it must name this host and come from a CA of the \
                system or of the file that `cacertfile` in amqp.url names"
            )
        } else {
            format!(
                "no TLS with the broker at {host} ({cause}): it has a port of its own for it, mostly 5671"
            )
        },
    )
}

/// The arguments of a quorum queue, whose hints survive the loss of a node. Age and number are
/// bounded; the oldest hints are dropped first.
///
/// RabbitMQ 4 and later drops messages that were requeued about twenty times, which costs a hint.
fn queue_arguments(options: &AmqpOptions) -> FieldTable {
    let ttl = i64::try_from(options.message_ttl.as_millis()).unwrap_or(i64::MAX);
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(ttl));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(options.max_queue_length.into()));
    table.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    table
}

/// Tells whether the broker refused an operation with this reply code.
fn has_code(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == code)
}

#[derive(Default)]
enum SocketState {
    #[default]
    Dialing,
    Connected(net::TcpStream),
    Abandoned,
}

/// The slot into which the dialer puts the socket.
#[derive(Clone, Default)]
struct SocketSlot(Arc<Mutex<SocketState>>);

/// The owner of the socket. Dropping it shuts the socket down, even if that is connected only
/// later.
#[derive(Default)]
struct SocketGuard(SocketSlot);

impl SocketSlot {
    /// Puts a connected socket into the slot; an error if the guard is gone.
    fn fill(&self, stream: &TcpStream) -> io::Result<()> {
        let handle = net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let mut state = self.lock();
        if matches!(*state, SocketState::Abandoned) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *state = SocketState::Connected(handle);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, SocketState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketGuard {
    /// The slot for the dialer.
    fn slot(&self) -> SocketSlot {
        self.0.clone()
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0.lock(), SocketState::Abandoned);
        if let SocketState::Connected(stream) = before {
            // An error means that the socket is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncReadExt, net::TcpListener};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn dropping_the_guard_shuts_the_socket_down() {
        let (mut near, mut far) = pair().await;
        let guard = SocketGuard::default();
        guard.slot().fill(&near).unwrap();
        drop(guard);
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_socket_connected_too_late_is_rejected() {
        let (near, _far) = pair().await;
        let guard = SocketGuard::default();
        let slot = guard.slot();
        drop(guard);
        assert!(slot.fill(&near).is_err());
    }
}
