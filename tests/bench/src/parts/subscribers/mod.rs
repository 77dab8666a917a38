//! Many subscribers on one API node: memory per subscriber, and latency of an event to the last of
//! them.
//!
//! Tasks are parked and subscribed to. Then a message resumes each task, which reports progress
//! slowly, so that the figures show the latency of single events, not throughput. The database
//! stamps an event before its commit; the driver reads the same clock on receipt. So the latency
//! includes commit, notification, the node's read and writes, and the driver's reads. Every
//! subscriber must receive every event, in order.

mod subscriber;
mod tasks;

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    meter::memory,
    open_files,
    stack::{BenchStack, StackMode, StackRole},
    stats::{count, millis, percentile},
    usage::UsageReading,
};
use futures::future::{join_all, try_join_all};
use std::{collections::BTreeMap, time::Duration};
use subscriber::{SubscriberResult, TaskSubscriber};
use tasks::ProgressPace;
use tokio::time::sleep;

/// Time without load before memory is read.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Subscriptions opened concurrently.
const MAX_CONCURRENT_OPENS: usize = 100;

/// Open files of the driver or a node besides subscriptions.
const OTHER_FILES: usize = 500;

/// The size of a row: subscribers, spread over tasks.
#[derive(Debug, Clone, Copy)]
struct SubscriberCount {
    subscribers: usize,
    tasks: usize,
}

impl SubscriberCount {
    fn title(self) -> String {
        match self.tasks {
            1 => format!("{} subscribers of one task", self.subscribers),
            tasks => format!("{} subscribers of {tasks} tasks", self.subscribers),
        }
    }
}

/// Measures several sizes, each on a new stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(StackMode::Distributed) {
        return Vec::new();
    }
    let full = [(1_000, 1), (1_000, 100), (5_000, 1), (5_000, 500)];
    let quick = [(200, 1), (200, 20)];
    let sizes: &[(usize, usize)] = if bench.options.quick { &quick } else { &full };
    let mut figures = Vec::new();
    for &(subscribers, tasks) in sizes {
        let size = SubscriberCount { subscribers, tasks };
        match open_files::raise_limit(subscribers + OTHER_FILES) {
            Ok(()) => figures.push(row(bench, size).await),
            Err(why) => println!("subscribers: skipped {}: {why}", size.title()),
        }
    }
    figures
}

async fn row(bench: &Bench, size: SubscriberCount) -> Figure {
    let stack = bench.start(StackMode::Distributed).await;
    let node = stack.nodes().next().expect("a stack has a node").pid();
    // Warms up what does not depend on the number of subscribers: pools, caches and the allocator.
    let first = SubscriberCount { subscribers: size.subscribers.min(50), tasks: 1 };
    run_round(&stack, first, ProgressPace { events: 5, delay: Duration::from_millis(20) }).await;
    sleep(SETTLE_TIME).await;
    let before = memory::resident_mib(node);

    let ids = tasks::park(&stack, size.tasks).await;
    let followers = subscribe(&stack, size, &ids).await;
    sleep(SETTLE_TIME).await;
    let after = memory::resident_mib(node);
    let events = u32::try_from(bench.size(40, 10)).expect("a few");
    let pace = ProgressPace { events, delay: Duration::from_millis(500) };
    let begun = UsageReading::take(&stack).await;
    let received = follow(&stack, followers, &ids, pace).await;
    let usage = UsageReading::take(&stack).await.since(&begun);

    let delivered: usize = received.iter().map(|one| one.events.len()).sum();
    let (firsts, lasts) = delays(&received);
    let kib = |mib: f64| (mib - before) * 1024.0 / count(size.subscribers);
    let each = |role| usage.cpu.get(&role).copied().unwrap_or(0.0) / count(delivered) * 1e6;
    let values = vec![
        FigureValue::less("memory", kib(after), "KiB/sub"),
        FigureValue::less("memory then", kib(memory::resident_mib(node)), "KiB/sub"),
        FigureValue::plain("events", count(lasts.len()), ""),
        FigureValue::less("first p50", millis(percentile(&firsts, 50.0)), "ms"),
        FigureValue::less("last p50", millis(percentile(&lasts, 50.0)), "ms"),
        FigureValue::less("last p99", millis(percentile(&lasts, 99.0)), "ms"),
        FigureValue::less("last max", millis(percentile(&lasts, 100.0)), "ms"),
        FigureValue::less("CPU api", each(StackRole::Api), "us/event"),
        FigureValue::plain("CPU driver", each(StackRole::Driver), "us/event"),
    ];
    Figure { stack: stack.mode.name(), part: "subscribers", what: size.title(), values }
}

/// Subscribes, resumes the tasks, and reads all streams to their end.
async fn run_round(stack: &BenchStack, size: SubscriberCount, pace: ProgressPace) {
    let ids = tasks::park(stack, size.tasks).await;
    let followers = subscribe(stack, size, &ids).await;
    follow(stack, followers, &ids, pace).await;
}

/// Opens all subscriptions, round-robin over the tasks.
async fn subscribe(
    stack: &BenchStack,
    size: SubscriberCount,
    ids: &[String],
) -> Vec<TaskSubscriber> {
    let all: Vec<usize> = (0..size.subscribers).map(|number| number % ids.len()).collect();
    let mut followers = Vec::with_capacity(all.len());
    for some in all.chunks(MAX_CONCURRENT_OPENS) {
        let opened = some.iter().map(|task| TaskSubscriber::open(stack.base(), *task, &ids[*task]));
        followers.extend(try_join_all(opened).await.expect("the node takes subscribers"));
    }
    followers
}

/// Resumes the tasks, and reads every stream to its end.
async fn follow(
    stack: &BenchStack,
    followers: Vec<TaskSubscriber>,
    ids: &[String],
    pace: ProgressPace,
) -> Vec<SubscriberResult> {
    let readers = followers.into_iter().map(|one| tokio::spawn(one.read(pace.events)));
    let readers: Vec<_> = readers.collect();
    tasks::resume(stack, ids, pace).await;
    let limit = pace.delay * pace.events + Duration::from_secs(60);
    let read = tokio::time::timeout(limit, join_all(readers)).await;
    let read = read.unwrap_or_else(|_| panic!("streams have not ended within {limit:?}"));
    read.into_iter().map(|one| one.expect("a subscriber met a wrong event")).collect()
}

/// Latencies of all events to their first and to their last subscriber; sorted.
fn delays(received: &[SubscriberResult]) -> (Vec<Duration>, Vec<Duration>) {
    let mut events: BTreeMap<(usize, usize), (Duration, Duration)> = BTreeMap::new();
    for one in received {
        for (number, delay) in one.events.iter().enumerate() {
            let seen = events.entry((one.task, number)).or_insert((*delay, *delay));
            *seen = (seen.0.min(*delay), seen.1.max(*delay));
        }
    }
    let (mut firsts, mut lasts): (Vec<_>, Vec<_>) = events.into_values().unzip();
    firsts.sort_unstable();
    lasts.sort_unstable();
    (firsts, lasts)
}

#[cfg(test)]
mod tests {
    use super::{SubscriberResult, delays};
    use std::time::Duration;

    #[test]
    fn the_latency_of_an_event_is_that_of_its_last_subscriber() {
        let ms = Duration::from_millis;
        let received = [
            SubscriberResult { task: 0, events: vec![ms(3), ms(9)] },
            SubscriberResult { task: 0, events: vec![ms(5), ms(2)] },
            SubscriberResult { task: 1, events: vec![ms(7), ms(1)] },
        ];
        let (firsts, lasts) = delays(&received);
        assert_eq!(firsts, [ms(1), ms(2), ms(3), ms(7)]);
        assert_eq!(lasts, [ms(1), ms(5), ms(7), ms(9)]);
    }
}
