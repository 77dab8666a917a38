//! The fault plan: which faults are injected and when. The seed alone decides, so a plan is
//! repeatable.
//!
//! Faults are drawn from a shuffled deck, so that every kind occurs before any repeats too often.
//! Faults of different targets overlap. One target has one fault at a time, and then time to
//! recover.

use crate::{options::PlanOptions, random::Random};
use serde::Serialize;
use std::{fmt, time::Duration};

/// Number of API nodes.
pub const API_NODES: usize = 2;

/// Number of workers.
pub const WORKERS: usize = 3;

/// Milliseconds for a target to recover before its next fault.
const RECOVERY_PAUSE_MS: u64 = 2_500;

/// Targets of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultTarget {
    /// An API node.
    Api(usize),
    /// A worker.
    Worker(usize),
    /// The database server.
    Postgres,
    /// The broker.
    Broker,
    /// The network of all processes.
    Everybody,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and later a new process.
    Kill,
    /// SIGSTOP for less than the lease.
    FreezeShort,
    /// SIGSTOP for longer than the lease.
    FreezeLong,
    /// SIGTERM, and a new process once the old one has ended.
    Terminate,
    /// A switchover of the database to its standby; the address follows later.
    Switchover,
    /// A clean stop that notifies clients, and a start.
    StopFast,
    /// A stop like a crash, and a start.
    StopImmediate,
    /// A purge of all queues.
    Purge,
    /// A slow network.
    Latency,
    /// A reset of all connections.
    Reset,
    /// A network that drops everything for less than the lease.
    BlackHoleShort,
    /// A network that drops everything for longer than the lease.
    BlackHoleLong,
    /// Open connections become half-open for good.
    Strand,
}

/// The connections of a process that a network fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkLinks {
    /// Connections to the database.
    Postgres,
    /// Connections to the broker.
    Broker,
    /// All connections.
    Both,
}

/// A planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFault {
    /// Milliseconds from the start of the load.
    pub at_ms: u64,
    /// The target.
    pub target: FaultTarget,
    /// The kind.
    pub kind: FaultKind,
    /// Milliseconds until the fault ends.
    pub lasts_ms: u64,
    /// The connections, for network faults.
    pub links: NetworkLinks,
}

/// The deck: classes of targets, kinds of faults, and the number of cards of each.
const FAULT_DECK: [(TargetClass, FaultKind, usize); 22] = [
    (TargetClass::Worker, FaultKind::Kill, 4),
    (TargetClass::Api, FaultKind::Kill, 2),
    (TargetClass::Worker, FaultKind::Terminate, 2),
    (TargetClass::Api, FaultKind::Terminate, 2),
    (TargetClass::Worker, FaultKind::FreezeShort, 1),
    (TargetClass::Worker, FaultKind::FreezeLong, 1),
    (TargetClass::Api, FaultKind::FreezeLong, 1),
    (TargetClass::Postgres, FaultKind::StopFast, 1),
    (TargetClass::Postgres, FaultKind::StopImmediate, 1),
    (TargetClass::Postgres, FaultKind::Switchover, 1),
    (TargetClass::Broker, FaultKind::StopFast, 1),
    (TargetClass::Broker, FaultKind::StopImmediate, 1),
    (TargetClass::Broker, FaultKind::Purge, 1),
    (TargetClass::Process, FaultKind::Latency, 2),
    (TargetClass::Everybody, FaultKind::Latency, 1),
    (TargetClass::Process, FaultKind::Reset, 2),
    (TargetClass::Everybody, FaultKind::Reset, 1),
    (TargetClass::Process, FaultKind::BlackHoleShort, 1),
    (TargetClass::Everybody, FaultKind::BlackHoleShort, 1),
    (TargetClass::Worker, FaultKind::BlackHoleLong, 2),
    (TargetClass::Worker, FaultKind::Strand, 1),
    (TargetClass::Api, FaultKind::Strand, 1),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetClass {
    Api,
    Worker,
    Process,
    Postgres,
    Broker,
    Everybody,
}

/// Makes the plan.
pub fn plan(options: &PlanOptions) -> Vec<PlannedFault> {
    let PlanOptions { seed, duration, every, lease, only } = options.clone();
    let mut random = Random::stream(seed, 1);
    let mut deck: Vec<(TargetClass, FaultKind)> = Vec::new();
    let mut busy: Vec<(FaultTarget, u64)> = Vec::new();
    let mut faults = Vec::new();
    let (end, every) = (millis(duration), millis(every).max(2));
    let mut at_ms = every;
    while at_ms < end {
        if deck.is_empty() {
            deck = shuffled(&mut random);
            deck.retain(|(_, kind)| only.is_empty() || only.iter().any(|name| name == kind.name()));
        }
        let free = |target: FaultTarget| {
            busy.iter().all(|(other, until)| *other != target || *until <= at_ms)
        };
        let card = deck.iter().rposition(|(class, _)| targets(*class).iter().any(|t| free(*t)));
        if let Some(card) = card {
            let (class, kind) = deck.remove(card);
            let free: Vec<FaultTarget> = targets(class).into_iter().filter(|t| free(*t)).collect();
            let target = *random.pick(&free);
            let lasts_ms = duration_ms(kind, target, millis(lease), &mut random);
            let links = match (class, kind) {
                (TargetClass::Process, _) => *random.pick(&[
                    NetworkLinks::Postgres,
                    NetworkLinks::Broker,
                    NetworkLinks::Both,
                ]),
                (_, FaultKind::BlackHoleLong | FaultKind::Strand) => NetworkLinks::Postgres,
                _ => NetworkLinks::Both,
            };
            busy.push((target, at_ms + lasts_ms + RECOVERY_PAUSE_MS));
            faults.push(PlannedFault { at_ms, target, kind, lasts_ms, links });
        }
        at_ms += random.in_range(every / 2..=every * 3 / 2);
    }
    faults
}

fn shuffled(random: &mut Random) -> Vec<(TargetClass, FaultKind)> {
    let cards = FAULT_DECK.iter().flat_map(|(class, kind, times)| vec![(*class, *kind); *times]);
    let mut cards: Vec<(u64, (TargetClass, FaultKind))> =
        cards.map(|card| (random.number(), card)).collect();
    cards.sort_by_key(|(position, _)| *position);
    cards.into_iter().map(|(_, card)| card).collect()
}

fn targets(class: TargetClass) -> Vec<FaultTarget> {
    let apis = || (0..API_NODES).map(FaultTarget::Api);
    let workers = || (0..WORKERS).map(FaultTarget::Worker);
    match class {
        TargetClass::Api => apis().collect(),
        TargetClass::Worker => workers().collect(),
        TargetClass::Process => apis().chain(workers()).collect(),
        TargetClass::Postgres => vec![FaultTarget::Postgres],
        TargetClass::Broker => vec![FaultTarget::Broker],
        TargetClass::Everybody => vec![FaultTarget::Everybody],
    }
}

fn duration_ms(kind: FaultKind, target: FaultTarget, lease: u64, random: &mut Random) -> u64 {
    match kind {
        FaultKind::Kill => random.in_range(200..=4_000),
        FaultKind::FreezeShort | FaultKind::BlackHoleShort => {
            random.in_range(200..=(lease / 2).max(300))
        }
        // An API node has no lease: a few seconds are long for its clients.
        FaultKind::FreezeLong if matches!(target, FaultTarget::Api(_)) => {
            random.in_range(1_000..=6_000)
        }
        FaultKind::FreezeLong | FaultKind::BlackHoleLong => {
            random.in_range(lease * 3 / 2..=lease * 5 / 2)
        }
        FaultKind::StopFast | FaultKind::StopImmediate if target == FaultTarget::Broker => {
            random.in_range(0..=4_000)
        }
        FaultKind::StopFast | FaultKind::StopImmediate => random.in_range(0..=1_500),
        FaultKind::Switchover => random.in_range(0..=6_000),
        FaultKind::Latency => random.in_range(1_000..=5_000),
        FaultKind::Terminate | FaultKind::Purge | FaultKind::Reset | FaultKind::Strand => 0,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl PlannedFault {
    /// The label for figures, as in `kill worker`.
    pub fn label(&self) -> String {
        let target = match self.target {
            FaultTarget::Api(_) => "api",
            FaultTarget::Worker(_) => "worker",
            FaultTarget::Postgres => "postgres",
            FaultTarget::Broker => "broker",
            FaultTarget::Everybody => "everybody",
        };
        format!("{} {target}", self.kind.name())
    }
}

impl FaultKind {
    /// The name, as in `black-hole-long`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::FreezeShort => "freeze-short",
            Self::FreezeLong => "freeze-long",
            Self::Terminate => "terminate",
            Self::Switchover => "switchover",
            Self::StopFast => "stop-fast",
            Self::StopImmediate => "stop-immediate",
            Self::Purge => "purge",
            Self::Latency => "latency",
            Self::Reset => "reset",
            Self::BlackHoleShort => "black-hole-short",
            Self::BlackHoleLong => "black-hole-long",
            Self::Strand => "strand",
        }
    }
}

impl fmt::Display for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(number) => write!(f, "api-{number}"),
            Self::Worker(number) => write!(f, "worker-{number}"),
            Self::Postgres => f.write_str("postgres"),
            Self::Broker => f.write_str("broker"),
            Self::Everybody => f.write_str("everybody"),
        }
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at_ms / 1_000, self.at_ms % 1_000);
        write!(f, "{seconds:>5}.{millis:03} s  {:<16} {}", self.kind.name(), self.target)?;
        if matches!(
            self.kind,
            FaultKind::Latency
                | FaultKind::Reset
                | FaultKind::BlackHoleShort
                | FaultKind::BlackHoleLong
                | FaultKind::Strand
        ) {
            write!(f, " (links: {:?})", self.links)?;
        }
        if self.lasts_ms > 0 { write!(f, " for {} ms", self.lasts_ms) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{FAULT_DECK, PlanOptions, PlannedFault, RECOVERY_PAUSE_MS, plan};
    use std::{collections::BTreeSet, time::Duration};

    fn options(seed: u64, duration: Duration) -> PlanOptions {
        let second = Duration::from_secs(1);
        PlanOptions { seed, duration, every: second, lease: second * 5, only: Vec::new() }
    }

    fn faults(seed: u64, seconds: u64) -> Vec<PlannedFault> {
        let second = Duration::from_secs(1);
        plan(&options(seed, second * u32::try_from(seconds).expect("small")))
    }

    #[test]
    fn a_plan_depends_on_its_seed_only() {
        assert_eq!(faults(1, 100), faults(1, 100));
        assert_ne!(faults(1, 100), faults(2, 100));
    }

    #[test]
    fn a_target_recovers_before_its_next_fault() {
        let faults = faults(3, 600);
        for (at, one) in faults.iter().enumerate() {
            let next = faults[at + 1..].iter().find(|other| other.target == one.target);
            assert!(
                next.is_none_or(|next| next.at_ms >= one.at_ms + one.lasts_ms + RECOVERY_PAUSE_MS)
            );
        }
    }

    #[test]
    fn a_plan_can_be_restricted_to_one_kind() {
        let only = vec!["kill".to_owned()];
        let faults = plan(&PlanOptions { only, ..options(5, Duration::from_secs(60)) });
        assert!(
            faults.len() > 10 && faults.iter().all(|fault| fault.kind == super::FaultKind::Kill)
        );
    }

    #[test]
    fn every_kind_occurs_in_its_turn() {
        let kinds: BTreeSet<String> = faults(4, 120).iter().map(PlannedFault::label).collect();
        let cards = FAULT_DECK.len();
        assert!(kinds.len() >= cards - 3, "{} of {cards}: {kinds:?}", kinds.len());
        assert!(faults(4, 120).iter().all(|fault| fault.at_ms < 120_000));
    }
}
