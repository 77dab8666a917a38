//! The stacks to measure: one embedded process on SQLite, or API nodes and workers on Postgres and
//! RabbitMQ.

mod plan;
mod process;
mod route;
mod running;

pub use plan::{StackPlan, start_postgres};
pub use process::{StackProcess, StackRole};
pub use route::NetworkRoute;
pub use running::{BenchStack, StackMode};
