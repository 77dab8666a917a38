//! A second client of the broker, which acts as an operator or a foreign program.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
        QueuePurgeOptions,
    },
    types::FieldTable,
};
use longhaul_tests::Broker;

pub(super) struct BrokerClient {
    _connection: Connection,
    channel: Channel,
    prefix: String,
}

impl BrokerClient {
    pub(super) async fn connect(broker: &Broker) -> Self {
        let options = ConnectionProperties::default();
        let connection = Connection::connect(broker.url(), options).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel, prefix: broker.prefix().to_owned() }
    }

    fn queue(&self, agent: &str) -> lapin::types::ShortString {
        format!("{}.wake.{agent}", self.prefix).into()
    }

    pub(super) async fn delete(&self, agent: &str) {
        self.channel.queue_delete(self.queue(agent), QueueDeleteOptions::default()).await.unwrap();
    }

    pub(super) async fn purge(&self, agent: &str) -> u32 {
        self.channel.queue_purge(self.queue(agent), QueuePurgeOptions::default()).await.unwrap()
    }

    /// Declares an agent's queue with other arguments than Longhaul's.
    pub(super) async fn declare_classic(&self, agent: &str) {
        let (options, arguments) = (QueueDeclareOptions::durable(), FieldTable::default());
        self.channel.queue_declare(self.queue(agent), options, arguments).await.unwrap();
    }

    pub(super) async fn publish(&self, agent: &str, body: &[u8]) {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let published =
            self.channel.basic_publish("".into(), self.queue(agent), options, body, properties);
        assert!(published.await.unwrap().await.unwrap().is_ack());
    }
}
