//! Usage of a stack between two readings.

use crate::{
    figure::FigureValue,
    meter::{WriteCounters, cpu},
    stack::{BenchStack, StackRole},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// CPU seconds by role.
pub type CpuByRole = BTreeMap<StackRole, f64>;

/// Counters of a stack at one instant.
#[derive(Debug, Clone)]
pub struct UsageReading {
    at: Instant,
    cpu: CpuByRole,
    written: Option<WriteCounters>,
}

/// The difference of two readings.
#[derive(Debug, Clone)]
pub struct StackUsage {
    /// The time between them.
    pub wall: Duration,
    /// CPU seconds by role.
    pub cpu: CpuByRole,
    /// Writes of Postgres.
    pub written: Option<WriteCounters>,
}

impl UsageReading {
    /// Reads all counters; takes a few milliseconds.
    pub async fn take(stack: &BenchStack) -> Self {
        let written = match &stack.probe {
            Some(probe) => Some(probe.written().await),
            None => None,
        };
        Self { at: Instant::now(), cpu: cpu_by_role(stack), written }
    }

    /// The usage since an earlier reading.
    pub fn since(&self, earlier: &Self) -> StackUsage {
        let before = |role| earlier.cpu.get(role).copied().unwrap_or(0.0);
        let cpu = self.cpu.iter().map(|(role, now)| (*role, now - before(role))).collect();
        let written = self.written.zip(earlier.written).map(|(now, before)| WriteCounters {
            wal: now.wal - before.wal,
            writes: now.writes - before.writes,
        });
        StackUsage { wall: self.at - earlier.at, cpu, written }
    }
}

impl StackUsage {
    /// CPU seconds of all roles together.
    pub fn cpu_total(&self) -> f64 {
        self.cpu.values().sum()
    }

    /// WAL bytes and writing transactions per item, and CPU seconds per thousand items.
    pub fn values(&self, items: f64) -> Vec<FigureValue> {
        let items = items.max(1.0);
        let mut values = Vec::new();
        if let Some(written) = self.written {
            #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
            let each = |n: i64| n as f64 / items;
            values.push(FigureValue::less("WAL", each(written.wal), "B"));
            values.push(FigureValue::less("writes", each(written.writes), ""));
        }
        let cpu = self.cpu.iter();
        values.extend(
            cpu.map(|(role, used)| FigureValue::less(column(*role), used / items * 1e3, CPU_UNIT)),
        );
        values.push(FigureValue::less("CPU all", self.cpu_total() / items * 1e3, CPU_UNIT));
        values
    }
}

/// CPU seconds used so far by each role of the stack, and by this process.
fn cpu_by_role(stack: &BenchStack) -> CpuByRole {
    let processes = cpu::ProcessTable::read();
    let mut cpu_by_role = CpuByRole::new();
    for (role, root) in stack.roots() {
        *cpu_by_role.entry(role).or_default() += processes.tree_seconds(root);
    }
    cpu_by_role.insert(StackRole::Driver, cpu::own());
    cpu_by_role
}

const CPU_UNIT: &str = "s/1k";

const fn column(role: StackRole) -> &'static str {
    match role {
        StackRole::Dev => "CPU dev",
        StackRole::Api => "CPU api",
        StackRole::Worker => "CPU worker",
        StackRole::Postgres => "CPU pg",
        StackRole::RabbitMq => "CPU mq",
        StackRole::Driver => "CPU driver",
    }
}
