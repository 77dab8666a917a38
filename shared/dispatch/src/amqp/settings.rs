//! How the broker is used. Everything but the address has a default that suits.

use std::time::Duration;

use longhaul_domain::AgentName;
use longhaul_runtime::{IdSource, Secret, SystemIds};

use super::address::{self, BrokerAddress};
use crate::DispatchError;

/// Settings of [`AmqpDispatch`](crate::AmqpDispatch).
#[derive(Debug, Clone)]
pub struct AmqpOptions {
    /// `amqp://user:password@host:port/vhost`, or `amqps`, there with `?cacertfile=` where the CA is a private one; never
    /// shown with its password.
    pub url: Secret,
    /// Begins the names of all queues, so that deployments can share a broker.
    pub prefix: String,
    /// How long a hint stays in its queue, and in the outbox. By then workers have probed, and it is worth nothing.
    pub message_ttl: Duration,
    /// Hints that a queue keeps; the oldest make room.
    pub queue_length: u32,
    /// Hints that wait in the process for the broker; what does not fit is dropped.
    pub outbox: usize,
    /// Hints sent and not yet confirmed.
    pub outstanding: usize,
    /// Hints that a source holds unacknowledged, per agent.
    pub prefetch: u16,
    /// Heartbeat of the connections, unless the address sets one; a silent peer is given up after twice this.
    pub heartbeat: Duration,
    /// For each step of connecting: TCP with TLS, the AMQP handshake, setting up the channel.
    pub connect_timeout: Duration,
    /// Pause between two proofs that messages flow.
    pub proof_every: Duration,
    /// How long a proof may take before the broker counts as failed.
    pub proof_within: Duration,
    /// Pause between two looks whether the queues still know of their consumers.
    pub check_every: Duration,
    /// How long a close waits for the outbox to empty.
    pub close_timeout: Duration,
}

/// The largest frame that is asked for, in bytes. The client keeps 64 of them per connection, and a hint takes less than one;
/// brokers want at least half of this.
const FRAME: u32 = 16 * 1024;

impl AmqpOptions {
    /// The defaults for a broker.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            prefix: "longhaul".to_owned(),
            message_ttl: Duration::from_secs(30),
            queue_length: 10_000,
            outbox: 4096,
            outstanding: 1024,
            prefetch: 16,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            proof_every: Duration::from_secs(10),
            proof_within: Duration::from_secs(5),
            check_every: Duration::from_secs(30),
            close_timeout: Duration::from_secs(3),
        }
    }

    /// The address, with the heartbeat and the size of frames in it.
    pub(super) fn address(&self) -> Result<BrokerAddress, DispatchError> {
        let mut address = address::parse(&self.url)?;
        let heartbeat = u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX);
        address.uri.query.heartbeat.get_or_insert(heartbeat);
        address.uri.query.frame_max.get_or_insert(FRAME);
        Ok(address)
    }

    /// A queue for the proofs of one connection, which nobody else uses. Its name begins like all others, so that rights on
    /// that prefix suffice; a name that the broker makes would need rights on `amq.gen`.
    pub(super) fn proof_queue(&self) -> String {
        format!("{}.proof.{}", self.prefix, SystemIds.token())
    }

    /// The rights that the user of the broker needs, for the log.
    pub(super) fn rights(&self) -> String {
        let prefix = self.prefix.replace('.', "\\.");
        format!(
            "the broker's user needs these rights: configure '^{prefix}', write '^amq\\.default$', read '^{prefix}'"
        )
    }

    /// The queue of an agent.
    pub(super) fn queue(&self, agent: &AgentName) -> String {
        format!("{}.wake.{agent}", self.prefix)
    }

    /// The agent of a queue.
    pub(super) fn agent(&self, queue: &str) -> Option<AgentName> {
        let name = queue.strip_prefix(&self.prefix)?.strip_prefix(".wake.")?;
        AgentName::new(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::support::agent;

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let settings = AmqpOptions::new("http://user:hunter2@host/".to_owned().into());
        assert!(settings.address().is_err());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn the_address_may_set_its_own_heartbeat() {
        let with = |url: &str| AmqpOptions::new(url.to_owned().into()).address().unwrap().uri.query;
        assert_eq!(with("amqp://host/%2f").heartbeat, Some(10));
        assert_eq!(with("amqp://host/%2f?heartbeat=3").heartbeat, Some(3));
    }

    #[test]
    fn a_queue_names_its_agent() {
        let settings = AmqpOptions::new("amqp://host".to_owned().into());
        assert_eq!(settings.queue(&agent("echo-2")), "longhaul.wake.echo-2");
        assert_eq!(settings.agent("longhaul.wake.echo-2"), Some(agent("echo-2")));
        assert_eq!(settings.agent("other.wake.echo"), None);
    }
}
