//! How the tasks are spread over time, owners, conversations, agents and states; the same in SQL and here.
//!
//! Tasks are numbered from 1. Each fifth belongs to owner 1, to whom everything belongs where nobody authenticates.

use std::time::{SystemTime, UNIX_EPOCH};

/// The days over which the tasks were made.
const DAYS: u64 = 90;

/// One in so many tasks belongs to the large owner.
pub const LARGE: usize = 5;

/// Tasks of the large owner that are alone in their state, and so many of an agent that has few.
pub const FEW: usize = 20;

/// The conversation of the large owner that has one in a hundred of all tasks.
pub const LONG_CONTEXT: &str = "the-long-conversation";

/// The agent that has few tasks.
pub const RARE_AGENT: &str = "rare";

/// So many tasks.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// All of them.
    pub tasks: usize,
    /// When number 0 would have been made, in milliseconds since 1970.
    base: u64,
    /// Milliseconds between two of them.
    step: u64,
}

impl Spread {
    /// The last one made just now.
    pub fn of(tasks: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() * 1000;
        let step = (DAYS * 86_400_000 / tasks as u64).max(1);
        Self { tasks, base: now - 60_000 - step * tasks as u64, step }
    }

    /// Tasks of the large owner.
    pub const fn large(self) -> usize {
        self.tasks / LARGE
    }

    /// Every how many tasks there is one of the few.
    pub const fn seldom(self) -> usize {
        self.tasks / FEW
    }

    /// SQL functions of a task's number: when it was made, its id, owner, conversation, agent, state, whether it has an artifact.
    pub fn functions(self) -> String {
        let Self { base, step, .. } = self;
        let seldom = self.seldom();
        let one = |name: &str, kind: &str, body: &str| {
            format!(
                "create function bench_{name}(i int8) returns {kind} language sql immutable parallel safe as $$ select {body} $$;\n"
            )
        };
        [
            one("at", "timestamptz", &format!("timestamptz 'epoch' + ({base} + i * {step}) * interval '1 millisecond'")),
            one("task", "uuid", &format!("(lpad(to_hex({base} + i * {step}), 12, '0') || '7' || substr(md5(i::text), 1, 3) || 'a' || substr(md5(i::text), 4, 15))::uuid")),
            one("owner", "int4", &format!("case when i % {LARGE} = 0 then 1 else (2 + i * 7919 % 9000)::int4 end")),
            one("context", "text", &format!("case when i % 100 = 0 then '{LONG_CONTEXT}' else md5((i / 50)::text)::uuid::text end")),
            one("agent", "text", &format!("case when i % {seldom} = 0 then '{RARE_AGENT}' when i / 5 % 10 < 7 then 'echo' else 'script' end")),
            one("state", "int2", &format!("(case when i % {seldom} = 5 then 7 when i / 5 % 100 < 90 then 3 when i / 5 % 100 < 95 then 4 when i / 5 % 100 < 99 then 5 else 6 end)::int2")),
            one("seqs", "int8", "case when i / 5 % 5 = 0 then 3::int8 else 2::int8 end"),
        ]
        .concat()
    }
}
