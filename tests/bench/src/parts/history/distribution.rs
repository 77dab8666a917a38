//! Distribution of tasks over time, owners, contexts, agents and states; the same in SQL and here.
//!
//! Tasks are numbered from 1. Every fifth belongs to owner 1, who owns everything without
//! authentication.

use std::time::{SystemTime, UNIX_EPOCH};

/// Days over which the tasks were created.
const HISTORY_DAYS: u64 = 90;

/// Distance between two tasks of the large owner.
pub const LARGE_OWNER_EVERY: usize = 5;

/// Tasks of the large owner in a rare state, and as many of a rare agent.
pub const RARE_TASKS: usize = 20;

/// The context of the large owner with one in a hundred of all tasks.
pub const LONG_CONTEXT: &str = "the-long-conversation";

/// The agent with few tasks.
pub const RARE_AGENT: &str = "rare";

/// A distribution of tasks.
#[derive(Debug, Clone, Copy)]
pub struct TaskDistribution {
    /// Total tasks.
    pub tasks: usize,
    /// Creation time of number 0, in milliseconds since 1970.
    base: u64,
    /// Milliseconds between two tasks.
    step: u64,
}

impl TaskDistribution {
    /// A distribution that ends a minute ago.
    pub fn new(tasks: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() * 1000;
        let step = (HISTORY_DAYS * 86_400_000 / tasks as u64).max(1);
        Self { tasks, base: now - 60_000 - step * tasks as u64, step }
    }

    /// Number of tasks of the large owner.
    pub const fn large(self) -> usize {
        self.tasks / LARGE_OWNER_EVERY
    }

    /// Distance between two rare tasks.
    pub const fn rare_every(self) -> usize {
        self.tasks / RARE_TASKS
    }

    /// SQL functions of a task's number: creation time, id, owner, context, agent, state and log
    /// length.
    pub fn functions(self) -> String {
        let Self { base, step, .. } = self;
        let rare_every = self.rare_every();
        let one = |name: &str, kind: &str, body: &str| {
            format!(
                "create function bench_{name}(i int8) returns {kind} language sql immutable parallel safe as $$ select {body} $$;\n"
            )
        };
        [
            one("at", "timestamptz", &format!("timestamptz 'epoch' + ({base} + i * {step}) * interval '1 millisecond'")),
            one("task", "uuid", &format!("(lpad(to_hex({base} + i * {step}), 12, '0') || '7' || substr(md5(i::text), 1, 3) || 'a' || substr(md5(i::text), 4, 15))::uuid")),
            one("owner", "int4", &format!("case when i % {LARGE_OWNER_EVERY} = 0 then 1 else (2 + i * 7919 % 9000)::int4 end")),
            one("context", "text", &format!("case when i % 100 = 0 then '{LONG_CONTEXT}' else md5((i / 50)::text)::uuid::text end")),
            one("agent", "text", &format!("case when i % {rare_every} = 0 then '{RARE_AGENT}' when i / 5 % 10 < 7 then 'echo' else 'script' end")),
            one("state", "int2", &format!("(case when i % {rare_every} = 5 then 7 when i / 5 % 100 < 90 then 3 when i / 5 % 100 < 95 then 4 when i / 5 % 100 < 99 then 5 else 6 end)::int2")),
            one("seqs", "int8", "case when i / 5 % 5 = 0 then 3::int8 else 2::int8 end"),
        ]
        .concat()
    }
}
