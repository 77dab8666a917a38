//! Messages through the broker: published, confirmed, delivered and acknowledged on a quorum queue.

use super::row::row;
use crate::figure::{Figure, FigureValue};
use crate::meter::cpu;
use crate::stats::count;
use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, LongString},
};
use longhaul_tests::RabbitMq;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

const QUEUE: &str = "floor";

/// A body as small as a wake-up.
const BODY: &[u8] = b"1.00000000-0000-4000-8000-000000000000";

/// Panic message of failed calls: an error of RabbitMQ ends the run.
const BROKER_ANSWERS: &str = "the private RabbitMQ answers";

/// Measures one message at a time and many.
pub async fn run(time: Duration) -> Vec<Figure> {
    let node = RabbitMq::private();
    let connected = Connection::connect(&node.url(), ConnectionProperties::default()).await;
    let connection = connected.expect(BROKER_ANSWERS);
    let channel = connection.create_channel().await.expect(BROKER_ANSWERS);
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect(BROKER_ANSWERS);
    declare(&channel).await;
    let delivered = Arc::new(Semaphore::new(0));
    let consuming = consume(&connection, Arc::clone(&delivered)).await;
    let mut figures = Vec::new();
    for lanes in [1, 256] {
        publish(&channel, &delivered, lanes, time / 5).await;
        let used = cpu::tree_seconds(node.pid());
        let begun = Instant::now();
        let mut times = publish(&channel, &delivered, lanes, time).await;
        let wall = begun.elapsed();
        let used = cpu::tree_seconds(node.pid()) - used;
        let messages = count(times.len().max(1));
        let what = format!("RabbitMQ: quorum queue with confirms, {lanes} in flight");
        let mut figure = row(what, "messages/s", &mut times, wall, 1);
        figure.values.push(FigureValue::less("CPU mq", used / messages * 1e3, "s/1k"));
        figures.push(figure);
    }
    consuming.abort();
    figures
}

async fn declare(channel: &Channel) {
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString(LongString::from("quorum"));
    arguments.insert("x-queue-type".into(), quorum);
    let declared = channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments);
    declared.await.expect(BROKER_ANSWERS);
}

/// Acknowledges deliveries, and adds a permit for each.
async fn consume(
    connection: &Connection,
    delivered: Arc<Semaphore>,
) -> tokio::task::JoinHandle<()> {
    let channel = connection.create_channel().await.expect(BROKER_ANSWERS);
    channel.basic_qos(512, BasicQosOptions::default()).await.expect(BROKER_ANSWERS);
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
    let mut consumer = consumer.await.expect(BROKER_ANSWERS);
    tokio::spawn(async move {
        while let Some(Ok(delivery)) = consumer.next().await {
            delivery.ack(BasicAckOptions::default()).await.expect(BROKER_ANSWERS);
            delivered.add_permits(1);
        }
        drop(channel);
    })
}

/// Publishes in concurrent lanes; each waits for the confirm and for one delivery before the next.
async fn publish(
    channel: &Channel,
    delivered: &Semaphore,
    lanes: usize,
    time: Duration,
) -> Vec<Duration> {
    let until = Instant::now() + time;
    let lane = async |_| {
        let mut times = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let published =
                channel.basic_publish("".into(), QUEUE.into(), options, BODY, properties);
            let confirmed = published.await.expect(BROKER_ANSWERS).await.expect(BROKER_ANSWERS);
            assert!(confirmed.is_ack(), "the broker refused a message");
            delivered.acquire().await.expect("the semaphore is never closed").forget();
            times.push(begun.elapsed());
        }
        times
    };
    join_all((0..lanes).map(lane)).await.into_iter().flatten().collect()
}
