//! Injects the planned faults at their time, and records when each began and ended.

use crate::{
    journal::now,
    plan::{FaultKind, FaultTarget, NetworkLinks, PlannedFault},
    process_slot::ProcessSlot,
    stack::ChaosStack,
};
use longhaul_tests::proxy::Proxy;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{Instant, sleep, sleep_until},
};

/// Latency added by a slow network, each way.
const ADDED_LATENCY: Duration = Duration::from_millis(120);

/// Erlang expression that empties all queues, including short-lived ones of connections.
const PURGE_ALL_QUEUES: &str =
    "[catch rabbit_amqqueue:purge(Queue) || Queue <- rabbit_amqqueue:list()], ok.";

/// A fault that was injected.
#[derive(Debug, Clone, Serialize)]
pub struct InjectedFault {
    /// The kind of fault and target.
    pub kind: String,
    /// The process, when the fault hit one.
    pub pid: Option<u32>,
    /// Start, in microseconds since 1970.
    pub from: i64,
    /// End, in microseconds since 1970.
    pub to: i64,
}

/// Injects a plan that begins at `start`; returns when the last fault is over.
pub async fn inject_all(
    stack: &Arc<ChaosStack>,
    plan: Vec<PlannedFault>,
    start: Instant,
) -> Vec<InjectedFault> {
    let mut injections = JoinSet::new();
    for fault in plan {
        let stack = Arc::clone(stack);
        injections.spawn(async move {
            sleep_until(start + Duration::from_millis(fault.at_ms)).await;
            inject(&stack, &fault).await
        });
    }
    let mut injected = injections.join_all().await;
    injected.sort_by_key(|fault| fault.from);
    injected
}

async fn inject(stack: &ChaosStack, fault: &PlannedFault) -> InjectedFault {
    let slot = match fault.target {
        FaultTarget::Api(number) => Some(&stack.apis[number]),
        FaultTarget::Worker(number) => Some(&stack.workers[number]),
        _ => None,
    };
    let pid = match slot {
        Some(slot) => slot.pid().await,
        None => None,
    };
    let from = now();
    let time = Duration::from_millis(fault.lasts_ms);
    match (slot, fault.target) {
        (Some(slot), _) => inject_process_fault(slot, fault, time).await,
        (None, FaultTarget::Postgres) if fault.kind == FaultKind::Switchover => {
            switch_over(stack, time).await;
        }
        (None, FaultTarget::Postgres) => inject_postgres_fault(stack, fault.kind, time),
        (None, FaultTarget::Broker) => inject_broker_fault(stack, fault.kind, time),
        (None, _) => {
            let all: Vec<&Proxy> =
                stack.slots().flat_map(|slot| links(slot, fault.links)).collect();
            inject_network_fault(&all, fault.kind, time).await;
        }
    }
    InjectedFault { kind: fault.label(), pid, from, to: now() }
}

async fn inject_process_fault(slot: &ProcessSlot, fault: &PlannedFault, time: Duration) {
    match fault.kind {
        FaultKind::Kill => slot.kill(time).await,
        FaultKind::FreezeShort | FaultKind::FreezeLong => slot.freeze(time).await,
        FaultKind::Terminate => slot.terminate().await,
        kind => inject_network_fault(&links(slot, fault.links), kind, time).await,
    }
}

async fn inject_network_fault(links: &[&Proxy], kind: FaultKind, time: Duration) {
    for link in links {
        match kind {
            FaultKind::Latency => link.latency(ADDED_LATENCY),
            FaultKind::Reset => link.reset(),
            FaultKind::Strand => link.strand(),
            FaultKind::BlackHoleShort | FaultKind::BlackHoleLong => link.black_hole(),
            _ => {}
        }
    }
    sleep(time).await;
    for link in links {
        match kind {
            FaultKind::Latency => link.latency(Duration::ZERO),
            FaultKind::BlackHoleShort | FaultKind::BlackHoleLong => link.pass(),
            _ => {}
        }
    }
}

fn links(slot: &ProcessSlot, which: NetworkLinks) -> Vec<&Proxy> {
    match which {
        NetworkLinks::Postgres => vec![&slot.to_postgres],
        NetworkLinks::Broker => vec![&slot.to_broker],
        NetworkLinks::Both => vec![&slot.to_postgres, &slot.to_broker],
    }
}

fn inject_postgres_fault(stack: &ChaosStack, kind: FaultKind, down: Duration) {
    block_in_place(|| {
        let mut postgres = stack.postgres();
        if kind == FaultKind::StopImmediate {
            postgres.primary.stop_immediate();
        } else {
            postgres.primary.stop_fast();
        }
        std::thread::sleep(down);
        postgres.primary.start();
    });
}

/// Switches the database over to the standby. For a while the address still leads to the former
/// primary, which answers but is read-only.
async fn switch_over(stack: &ChaosStack, address_delay: Duration) {
    block_in_place(|| {
        let mut postgres = stack.postgres();
        // The primary sends the remaining WAL before it ends.
        postgres.standby.await_caught_up(&postgres.primary);
        postgres.primary.stop_fast();
        postgres.promote();
        postgres.start_former();
        stack.database().move_to(&postgres.primary);
    });
    sleep(address_delay).await;
    // Another switchover may have happened in the meantime.
    let primary = block_in_place(|| stack.postgres().primary.address());
    for slot in stack.slots() {
        slot.to_postgres.redirect_to(&primary);
    }
}

fn inject_broker_fault(stack: &ChaosStack, kind: FaultKind, down: Duration) {
    block_in_place(|| {
        let mut broker = stack.broker();
        if kind == FaultKind::Purge {
            broker.ctl(&["eval", PURGE_ALL_QUEUES]);
            return;
        }
        if kind == FaultKind::StopImmediate {
            broker.kill9();
        } else {
            broker.stop();
        }
        std::thread::sleep(down);
        broker.start();
    });
}
