//! Queue and exchange names for each test on a shared RabbitMQ node.
//!
//! Guarantee: two brokers never share a prefix, so tests that prefix every name cannot affect each
//! other.

use std::env;
use std::sync::OnceLock;

use crate::rabbitmq::RabbitMq;
use crate::{AMQP_URL, unique};

/// A test's share of a RabbitMQ node: the node's address and a prefix for queue and exchange names.
#[derive(Debug, Clone)]
pub struct Broker {
    url: String,
    prefix: String,
}

impl Broker {
    /// A share of the node that all tests of this run use. Never stop it; use [`RabbitMq::private`]
    /// for that.
    pub fn shared() -> Self {
        static URL: OnceLock<String> = OnceLock::new();
        static NODE: OnceLock<RabbitMq> = OnceLock::new();
        let url = URL.get_or_init(|| {
            env::var(AMQP_URL).unwrap_or_else(|_| NODE.get_or_init(RabbitMq::private).url())
        });
        Self { url: url.clone(), prefix: unique::name("t") }
    }

    /// A share of a private node.
    pub fn on(node: &RabbitMq) -> Self {
        Self { url: node.url(), prefix: unique::name("t") }
    }

    /// Names with this prefix on the node at this address.
    pub fn at(url: &str, prefix: &str) -> Self {
        Self { url: url.to_owned(), prefix: prefix.to_owned() }
    }

    /// The same share, reached through a proxy at `127.0.0.1:PORT`.
    #[must_use]
    pub fn through(&self, proxy: &str) -> Self {
        let (user, rest) = self.url.split_once('@').expect("the address names a user");
        let (_, host) = rest.split_once('/').expect("the address names a virtual host");
        Self { url: format!("{user}@{proxy}/{host}"), prefix: self.prefix.clone() }
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The prefix of this test's queues, for the setting `amqp.prefix`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

#[cfg(test)]
mod tests {
    use super::Broker;
    use crate::rabbitmq::greet;

    #[test]
    fn the_shared_node_speaks_amqp_and_gives_each_test_its_own_prefix() {
        let (one, two) = (Broker::shared(), Broker::shared());
        let address = one.url().rsplit('@').next().and_then(|rest| rest.split('/').next());
        greet(address.expect("the address has a host")).expect("the node speaks AMQP");
        assert_ne!(one.prefix(), two.prefix());
    }
}
