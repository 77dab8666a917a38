//! A second client of the broker, for what an operator or a stranger might do to the queues.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
        QueuePurgeOptions,
    },
    types::FieldTable,
};
use longhaul_tests::Broker;

pub(super) struct Operator {
    _connection: Connection,
    channel: Channel,
    prefix: String,
}

impl Operator {
    pub(super) async fn of(broker: &Broker) -> Self {
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

    /// Makes an agent's queue as Longhaul would not.
    pub(super) async fn declare_otherwise(&self, agent: &str) {
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
