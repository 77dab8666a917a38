//! What a stack used between two moments.

use super::{Written, cpu};
use crate::{
    figure::Value,
    stack::{Role, Stack},
};
use std::time::{Duration, Instant};

/// Counters at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    at: Instant,
    cpu: cpu::Groups,
    written: Option<Written>,
}

/// The difference of two readings.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The time between them.
    pub wall: Duration,
    /// CPU seconds by group.
    pub cpu: cpu::Groups,
    /// What Postgres wrote.
    pub written: Option<Written>,
}

impl Reading {
    /// Reads everything, in a few milliseconds.
    pub async fn take(stack: &Stack) -> Self {
        let written = match &stack.watch {
            Some(watch) => Some(watch.written().await),
            None => None,
        };
        Self { at: Instant::now(), cpu: cpu::groups(stack), written }
    }

    /// What was used since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Usage {
        let before = |role| earlier.cpu.get(role).copied().unwrap_or(0.0);
        let cpu = self.cpu.iter().map(|(role, now)| (*role, now - before(role))).collect();
        let written = self.written.zip(earlier.written).map(|(now, before)| Written {
            wal: now.wal - before.wal,
            writes: now.writes - before.writes,
        });
        Usage { wall: self.at - earlier.at, cpu, written }
    }
}

impl Usage {
    /// CPU seconds of all groups together.
    pub fn cpu_total(&self) -> f64 {
        self.cpu.values().sum()
    }

    /// Bytes of WAL and writing transactions for each of so many things, then CPU seconds for a thousand of them.
    pub fn values(&self, things: f64) -> Vec<Value> {
        let things = things.max(1.0);
        let mut values = Vec::new();
        if let Some(written) = self.written {
            #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
            let each = |n: i64| n as f64 / things;
            values.push(Value::less("WAL", each(written.wal), "B"));
            values.push(Value::less("writes", each(written.writes), ""));
        }
        let cpu = self.cpu.iter();
        values
            .extend(cpu.map(|(role, used)| Value::less(column(*role), used / things * 1e3, UNIT)));
        values.push(Value::less("CPU all", self.cpu_total() / things * 1e3, UNIT));
        values
    }
}

const UNIT: &str = "s/1k";

const fn column(role: Role) -> &'static str {
    match role {
        Role::Dev => "CPU dev",
        Role::Api => "CPU api",
        Role::Worker => "CPU worker",
        Role::Postgres => "CPU pg",
        Role::RabbitMq => "CPU mq",
        Role::Driver => "CPU driver",
    }
}
