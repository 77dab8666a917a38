//! What operators ask: dead letters, queues and workers. Each statement walks what it must; none of them runs with every task.

pub mod dead;
pub mod overview;
pub mod redrive;
