//! Many subscribers on one API node: what each costs in memory, and how long an event takes to reach the last of them.
//!
//! Tasks are parked first, and everybody subscribes; then a message to each task lets it report progress at a slow pace, so that
//! what is measured is the way of one event and not throughput. An event is stamped by the database when its entry is written,
//! before the commit; the driver reads the same clock when it has received it, so commit, notification, the node's read,
//! its writing to every subscriber and the driver's reading of all of them are in the figure. Every subscriber must receive
//! every event, in order.

pub mod files;
mod reader;
mod tasks;
pub mod unique;

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    meter::{Reading, memory},
    stack::{Mode, Role, Stack},
    stats::{count, millis, percentile},
};
use futures::future::{join_all, try_join_all};
use reader::{Follower, Received};
use std::{collections::BTreeMap, time::Duration};
use tasks::Pace;
use tokio::time::sleep;

/// How long everything rests before memory is read.
const REST: Duration = Duration::from_secs(2);

/// Subscriptions that are opened at once.
const AT_ONCE: usize = 100;

/// Open files that the driver or a node needs beside those of subscribers.
const OTHER_FILES: usize = 500;

/// One row: so many subscribers, spread over so many tasks.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    subscribers: usize,
    tasks: usize,
}

impl Crowd {
    fn title(self) -> String {
        match self.tasks {
            1 => format!("{} subscribers of one task", self.subscribers),
            tasks => format!("{} subscribers of {tasks} tasks", self.subscribers),
        }
    }
}

/// Measures crowds of several sizes, each on a stack of its own.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(Mode::Distributed) {
        return Vec::new();
    }
    let full = [(1_000, 1), (1_000, 100), (5_000, 1), (5_000, 500)];
    let quick = [(200, 1), (200, 20)];
    let crowds: &[(usize, usize)] = if bench.options.quick { &quick } else { &full };
    let mut figures = Vec::new();
    for &(subscribers, tasks) in crowds {
        let crowd = Crowd { subscribers, tasks };
        match files::allow(subscribers + OTHER_FILES) {
            Ok(()) => figures.push(row(bench, crowd).await),
            Err(why) => println!("subscribers: skipped {}: {why}", crowd.title()),
        }
    }
    figures
}

async fn row(bench: &Bench, crowd: Crowd) -> Figure {
    let stack = bench.start(Mode::Distributed).await;
    let node = stack.nodes().next().expect("a stack has a node").pid();
    // What is made once, however many come: pools, caches and the allocator's own.
    let first = Crowd { subscribers: crowd.subscribers.min(50), tasks: 1 };
    play(&stack, first, Pace { events: 5, delay: Duration::from_millis(20) }).await;
    sleep(REST).await;
    let before = memory::resident_mib(node);

    let ids = tasks::park(&stack, crowd.tasks).await;
    let followers = subscribe(&stack, crowd, &ids).await;
    sleep(REST).await;
    let after = memory::resident_mib(node);
    let events = u32::try_from(bench.size(40, 10)).expect("a few");
    let pace = Pace { events, delay: Duration::from_millis(500) };
    let begun = Reading::take(&stack).await;
    let received = follow(&stack, followers, &ids, pace).await;
    let usage = Reading::take(&stack).await.since(&begun);

    let delivered: usize = received.iter().map(|one| one.events.len()).sum();
    let (firsts, lasts) = delays(&received);
    let kib = |mib: f64| (mib - before) * 1024.0 / count(crowd.subscribers);
    let each = |role| usage.cpu.get(&role).copied().unwrap_or(0.0) / count(delivered) * 1e6;
    let values = vec![
        Value::less("memory", kib(after), "KiB/sub"),
        Value::less("memory then", kib(memory::resident_mib(node)), "KiB/sub"),
        Value::plain("events", count(lasts.len()), ""),
        Value::less("first p50", millis(percentile(&firsts, 50.0)), "ms"),
        Value::less("last p50", millis(percentile(&lasts, 50.0)), "ms"),
        Value::less("last p99", millis(percentile(&lasts, 99.0)), "ms"),
        Value::less("last max", millis(percentile(&lasts, 100.0)), "ms"),
        Value::less("CPU api", each(Role::Api), "us/event"),
        Value::plain("CPU driver", each(Role::Driver), "us/event"),
    ];
    Figure { stack: stack.mode.name(), part: "subscribers", what: crowd.title(), values }
}

/// Subscribes, lets the tasks go on, and hears them out.
async fn play(stack: &Stack, crowd: Crowd, pace: Pace) {
    let ids = tasks::park(stack, crowd.tasks).await;
    let followers = subscribe(stack, crowd, &ids).await;
    follow(stack, followers, &ids, pace).await;
}

/// Everybody subscribes, each to the next of the tasks.
async fn subscribe(stack: &Stack, crowd: Crowd, ids: &[String]) -> Vec<Follower> {
    let all: Vec<usize> = (0..crowd.subscribers).map(|number| number % ids.len()).collect();
    let mut followers = Vec::with_capacity(all.len());
    for some in all.chunks(AT_ONCE) {
        let opened = some.iter().map(|task| Follower::open(stack.base(), *task, &ids[*task]));
        followers.extend(try_join_all(opened).await.expect("the node takes subscribers"));
    }
    followers
}

/// Lets the tasks go on and reads every stream to its end.
async fn follow(
    stack: &Stack,
    followers: Vec<Follower>,
    ids: &[String],
    pace: Pace,
) -> Vec<Received> {
    let readers = followers.into_iter().map(|one| tokio::spawn(one.read(pace.events)));
    let readers: Vec<_> = readers.collect();
    tasks::go_on(stack, ids, pace).await;
    let limit = pace.delay * pace.events + Duration::from_secs(60);
    let read = tokio::time::timeout(limit, join_all(readers)).await;
    let read = read.unwrap_or_else(|_| panic!("streams have not ended within {limit:?}"));
    read.into_iter().map(|one| one.expect("a subscriber met a wrong event")).collect()
}

/// For each event of each task, how long it took to the first of its subscribers and to the last; sorted.
fn delays(received: &[Received]) -> (Vec<Duration>, Vec<Duration>) {
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
    use super::{Received, delays};
    use std::time::Duration;

    #[test]
    fn an_event_is_there_when_the_last_subscriber_of_its_task_has_it() {
        let ms = Duration::from_millis;
        let received = [
            Received { task: 0, events: vec![ms(3), ms(9)] },
            Received { task: 0, events: vec![ms(5), ms(2)] },
            Received { task: 1, events: vec![ms(7), ms(1)] },
        ];
        let (firsts, lasts) = delays(&received);
        assert_eq!(firsts, [ms(1), ms(2), ms(3), ms(7)]);
        assert_eq!(lasts, [ms(1), ms(5), ms(7), ms(9)]);
    }
}
