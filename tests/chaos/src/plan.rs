//! What will go wrong and when: decided by the seed alone, printed beforehand, and so repeatable.
//!
//! Faults are drawn from a deck, so that every kind comes before any comes too often. Faults of different things overlap; one
//! thing has one fault at a time, and a moment to get up.

use crate::random::Random;
use serde::Serialize;
use std::{fmt, time::Duration};

/// How many API nodes there are.
pub const APIS: usize = 2;

/// How many workers there are.
pub const WORKERS: usize = 3;

/// The time that something has to get up before the next fault hits it.
const REST_MS: u64 = 2_500;

/// What can be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An API node.
    Api(usize),
    /// A worker.
    Worker(usize),
    /// The database server.
    Postgres,
    /// The broker.
    Broker,
    /// The network of every process.
    Everybody,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// SIGKILL, and a new process later.
    Kill,
    /// SIGSTOP for less than the lease.
    FreezeShort,
    /// SIGSTOP for longer than the lease.
    FreezeLong,
    /// SIGTERM, and a new process as soon as it has ended.
    Terminate,
    /// The database moves to its standby, and the address follows late.
    Switchover,
    /// A stop that tells the clients, and a start.
    StopFast,
    /// A stop like a crash, and a start.
    StopImmediate,
    /// The queues are emptied.
    Purge,
    /// Everything takes longer on the way.
    Latency,
    /// All connections are reset.
    Reset,
    /// Nothing passes for less than the lease.
    BlackHoleShort,
    /// Nothing passes for longer than the lease.
    BlackHoleLong,
    /// Open connections are half-open from now on.
    Strand,
}

/// Which of a process's connections a fault of the network hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Those to the database.
    Postgres,
    /// Those to the broker.
    Broker,
    /// All.
    Both,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Milliseconds from the start of the load.
    pub at_ms: u64,
    /// What is hit.
    pub target: Target,
    /// How.
    pub blow: Blow,
    /// Milliseconds until it is taken back.
    pub lasts_ms: u64,
    /// Where, for faults of the network.
    pub links: Links,
}

/// How many cards of each kind there are.
const DECK: [(Class, Blow, usize); 22] = [
    (Class::Worker, Blow::Kill, 4),
    (Class::Api, Blow::Kill, 2),
    (Class::Worker, Blow::Terminate, 2),
    (Class::Api, Blow::Terminate, 2),
    (Class::Worker, Blow::FreezeShort, 1),
    (Class::Worker, Blow::FreezeLong, 1),
    (Class::Api, Blow::FreezeLong, 1),
    (Class::Postgres, Blow::StopFast, 1),
    (Class::Postgres, Blow::StopImmediate, 1),
    (Class::Postgres, Blow::Switchover, 1),
    (Class::Broker, Blow::StopFast, 1),
    (Class::Broker, Blow::StopImmediate, 1),
    (Class::Broker, Blow::Purge, 1),
    (Class::Process, Blow::Latency, 2),
    (Class::Everybody, Blow::Latency, 1),
    (Class::Process, Blow::Reset, 2),
    (Class::Everybody, Blow::Reset, 1),
    (Class::Process, Blow::BlackHoleShort, 1),
    (Class::Everybody, Blow::BlackHoleShort, 1),
    (Class::Worker, Blow::BlackHoleLong, 2),
    (Class::Worker, Blow::Strand, 1),
    (Class::Api, Blow::Strand, 1),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Api,
    Worker,
    Process,
    Postgres,
    Broker,
    Everybody,
}

/// What a plan is made of.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Decides everything.
    pub seed: u64,
    /// How long there is trouble.
    pub duration: Duration,
    /// One fault in about this time.
    pub every: Duration,
    /// Decides how long is long.
    pub lease: Duration,
    /// These blows only; none: all.
    pub only: Vec<String>,
}

/// What goes wrong in a run.
pub fn plan(rules: &Rules) -> Vec<Fault> {
    let Rules { seed, duration, every, lease, only } = rules.clone();
    let mut random = Random::stream(seed, 1);
    let mut deck: Vec<(Class, Blow)> = Vec::new();
    let mut busy: Vec<(Target, u64)> = Vec::new();
    let mut faults = Vec::new();
    let (end, every) = (millis(duration), millis(every).max(2));
    let mut at_ms = every;
    while at_ms < end {
        if deck.is_empty() {
            deck = shuffled(&mut random);
            deck.retain(|(_, blow)| only.is_empty() || only.iter().any(|name| name == blow.name()));
        }
        let free =
            |target: Target| busy.iter().all(|(other, until)| *other != target || *until <= at_ms);
        let card = deck.iter().rposition(|(class, _)| targets(*class).iter().any(|t| free(*t)));
        if let Some(card) = card {
            let (class, blow) = deck.remove(card);
            let free: Vec<Target> = targets(class).into_iter().filter(|t| free(*t)).collect();
            let target = *random.pick(&free);
            let lasts_ms = lasts(blow, target, millis(lease), &mut random);
            let links = match (class, blow) {
                (Class::Process, _) => *random.pick(&[Links::Postgres, Links::Broker, Links::Both]),
                (_, Blow::BlackHoleLong | Blow::Strand) => Links::Postgres,
                _ => Links::Both,
            };
            busy.push((target, at_ms + lasts_ms + REST_MS));
            faults.push(Fault { at_ms, target, blow, lasts_ms, links });
        }
        at_ms += random.of(every / 2..=every * 3 / 2);
    }
    faults
}

fn shuffled(random: &mut Random) -> Vec<(Class, Blow)> {
    let cards = DECK.iter().flat_map(|(class, blow, times)| vec![(*class, *blow); *times]);
    let mut cards: Vec<(u64, (Class, Blow))> = cards.map(|card| (random.number(), card)).collect();
    cards.sort_by_key(|(place, _)| *place);
    cards.into_iter().map(|(_, card)| card).collect()
}

fn targets(class: Class) -> Vec<Target> {
    let apis = || (0..APIS).map(Target::Api);
    let workers = || (0..WORKERS).map(Target::Worker);
    match class {
        Class::Api => apis().collect(),
        Class::Worker => workers().collect(),
        Class::Process => apis().chain(workers()).collect(),
        Class::Postgres => vec![Target::Postgres],
        Class::Broker => vec![Target::Broker],
        Class::Everybody => vec![Target::Everybody],
    }
}

fn lasts(blow: Blow, target: Target, lease: u64, random: &mut Random) -> u64 {
    match blow {
        Blow::Kill => random.of(200..=4_000),
        Blow::FreezeShort | Blow::BlackHoleShort => random.of(200..=(lease / 2).max(300)),
        // An API node has no lease; a few seconds are long for its clients.
        Blow::FreezeLong if matches!(target, Target::Api(_)) => random.of(1_000..=6_000),
        Blow::FreezeLong | Blow::BlackHoleLong => random.of(lease * 3 / 2..=lease * 5 / 2),
        Blow::StopFast | Blow::StopImmediate if target == Target::Broker => random.of(0..=4_000),
        Blow::StopFast | Blow::StopImmediate => random.of(0..=1_500),
        Blow::Switchover => random.of(0..=6_000),
        Blow::Latency => random.of(1_000..=5_000),
        Blow::Terminate | Blow::Purge | Blow::Reset | Blow::Strand => 0,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Fault {
    /// The kind for figures, as in `kill worker`.
    pub fn kind(&self) -> String {
        let target = match self.target {
            Target::Api(_) => "api",
            Target::Worker(_) => "worker",
            Target::Postgres => "postgres",
            Target::Broker => "broker",
            Target::Everybody => "everybody",
        };
        format!("{} {target}", self.blow.name())
    }
}

impl Blow {
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

impl fmt::Display for Target {
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at_ms / 1_000, self.at_ms % 1_000);
        write!(f, "{seconds:>5}.{millis:03} s  {:<16} {}", self.blow.name(), self.target)?;
        if matches!(
            self.blow,
            Blow::Latency | Blow::Reset | Blow::BlackHoleShort | Blow::BlackHoleLong | Blow::Strand
        ) {
            write!(f, " (links: {:?})", self.links)?;
        }
        if self.lasts_ms > 0 { write!(f, " for {} ms", self.lasts_ms) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{DECK, Fault, REST_MS, Rules, plan};
    use std::{collections::BTreeSet, time::Duration};

    fn rules(seed: u64, duration: Duration) -> Rules {
        let second = Duration::from_secs(1);
        Rules { seed, duration, every: second, lease: second * 5, only: Vec::new() }
    }

    fn faults(seed: u64, seconds: u64) -> Vec<Fault> {
        let second = Duration::from_secs(1);
        plan(&rules(seed, second * u32::try_from(seconds).expect("small")))
    }

    #[test]
    fn a_seed_makes_the_same_plan_and_another_one_another() {
        assert_eq!(faults(1, 100), faults(1, 100));
        assert_ne!(faults(1, 100), faults(2, 100));
    }

    #[test]
    fn nothing_is_hit_before_it_got_up() {
        let faults = faults(3, 600);
        for (at, one) in faults.iter().enumerate() {
            let next = faults[at + 1..].iter().find(|other| other.target == one.target);
            assert!(next.is_none_or(|next| next.at_ms >= one.at_ms + one.lasts_ms + REST_MS));
        }
    }

    #[test]
    fn a_plan_can_be_of_one_kind_only() {
        let only = vec!["kill".to_owned()];
        let faults = plan(&Rules { only, ..rules(5, Duration::from_secs(60)) });
        assert!(faults.len() > 10 && faults.iter().all(|fault| fault.blow == super::Blow::Kill));
    }

    #[test]
    fn every_kind_comes_in_its_turn() {
        let kinds: BTreeSet<String> = faults(4, 120).iter().map(Fault::kind).collect();
        let cards = DECK.len();
        assert!(kinds.len() >= cards - 3, "{} of {cards}: {kinds:?}", kinds.len());
        assert!(faults(4, 120).iter().all(|fault| fault.at_ms < 120_000));
    }
}
