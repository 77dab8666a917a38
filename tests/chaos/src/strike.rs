//! Does what the plan says, at the time that it says, and writes down when it really happened.

use crate::{
    journal::now,
    place::Place,
    plan::{Blow, Fault, Links, Target},
    stack::Stack,
};
use longhaul_tests::proxy::Proxy;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{Instant, sleep, sleep_until},
};

/// How much longer everything takes on a slow network, each way.
const LATENCY: Duration = Duration::from_millis(120);

/// Empties every queue that there is; those of connections come and go.
const PURGE: &str = "[catch rabbit_amqqueue:purge(Queue) || Queue <- rabbit_amqqueue:list()], ok.";

/// A fault that has happened.
#[derive(Debug, Clone, Serialize)]
pub struct Struck {
    /// Its kind.
    pub kind: String,
    /// The process that it hit, where it hit one.
    pub pid: Option<u32>,
    /// When it began, in microseconds since 1970.
    pub from: i64,
    /// When it was taken back.
    pub to: i64,
}

/// Strikes as planned from a start on; returns when the last fault is over.
pub async fn strike_all(stack: &Arc<Stack>, plan: Vec<Fault>, start: Instant) -> Vec<Struck> {
    let mut strikes = JoinSet::new();
    for fault in plan {
        let stack = Arc::clone(stack);
        strikes.spawn(async move {
            sleep_until(start + Duration::from_millis(fault.at_ms)).await;
            strike(&stack, &fault).await
        });
    }
    let mut struck = strikes.join_all().await;
    struck.sort_by_key(|fault| fault.from);
    struck
}

async fn strike(stack: &Stack, fault: &Fault) -> Struck {
    let place = match fault.target {
        Target::Api(number) => Some(&stack.apis[number]),
        Target::Worker(number) => Some(&stack.workers[number]),
        _ => None,
    };
    let pid = match place {
        Some(place) => place.pid().await,
        None => None,
    };
    let from = now();
    let time = Duration::from_millis(fault.lasts_ms);
    match (place, fault.target) {
        (Some(place), _) => hit_process(place, fault, time).await,
        (None, Target::Postgres) if fault.blow == Blow::Switchover => {
            switch_over(stack, time).await;
        }
        (None, Target::Postgres) => hit_postgres(stack, fault.blow, time),
        (None, Target::Broker) => hit_broker(stack, fault.blow, time),
        (None, _) => {
            let all: Vec<&Proxy> =
                stack.places().flat_map(|place| links(place, fault.links)).collect();
            hit_network(&all, fault.blow, time).await;
        }
    }
    Struck { kind: fault.kind(), pid, from, to: now() }
}

async fn hit_process(place: &Place, fault: &Fault, time: Duration) {
    match fault.blow {
        Blow::Kill => place.kill(time).await,
        Blow::FreezeShort | Blow::FreezeLong => place.freeze(time).await,
        Blow::Terminate => place.terminate().await,
        blow => hit_network(&links(place, fault.links), blow, time).await,
    }
}

async fn hit_network(links: &[&Proxy], blow: Blow, time: Duration) {
    for link in links {
        match blow {
            Blow::Latency => link.latency(LATENCY),
            Blow::Reset => link.reset(),
            Blow::Strand => link.strand(),
            Blow::BlackHoleShort | Blow::BlackHoleLong => link.black_hole(),
            _ => {}
        }
    }
    sleep(time).await;
    for link in links {
        match blow {
            Blow::Latency => link.latency(Duration::ZERO),
            Blow::BlackHoleShort | Blow::BlackHoleLong => link.pass(),
            _ => {}
        }
    }
}

fn links(place: &Place, which: Links) -> Vec<&Proxy> {
    match which {
        Links::Postgres => vec![&place.to_postgres],
        Links::Broker => vec![&place.to_broker],
        Links::Both => vec![&place.to_postgres, &place.to_broker],
    }
}

fn hit_postgres(stack: &Stack, blow: Blow, down: Duration) {
    block_in_place(|| {
        let mut postgres = stack.postgres();
        if blow == Blow::StopImmediate {
            postgres.primary.stop_immediate();
        } else {
            postgres.primary.stop_fast();
        }
        std::thread::sleep(down);
        postgres.primary.start();
    });
}

/// Moves the database to the standby. The address leads to the former primary for some time more, which answers and cannot
/// be written to.
async fn switch_over(stack: &Stack, late: Duration) {
    block_in_place(|| {
        let mut postgres = stack.postgres();
        // What the standby has not got by now it gets before the primary ends.
        postgres.standby.await_caught_up(&postgres.primary);
        postgres.primary.stop_fast();
        postgres.promote();
        postgres.start_former();
        stack.database().move_to(&postgres.primary);
    });
    sleep(late).await;
    // Another switchover may have come in between.
    let primary = block_in_place(|| stack.postgres().primary.address());
    for place in stack.places() {
        place.to_postgres.lead_to(&primary);
    }
}

fn hit_broker(stack: &Stack, blow: Blow, down: Duration) {
    block_in_place(|| {
        let mut broker = stack.broker();
        if blow == Blow::Purge {
            broker.ctl(&["eval", PURGE]);
            return;
        }
        if blow == Blow::StopImmediate {
            broker.kill9();
        } else {
            broker.stop();
        }
        std::thread::sleep(down);
        broker.start();
    });
}
