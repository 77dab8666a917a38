//! The test harness: real Postgres, real RabbitMQ and the real binary, each private to the test run
//! and killable.
//!
//! Everything that a test starts ends with the test, even when the test process is killed: every
//! server and process has a guard outside the test process ([`guard`]) that notices the death and
//! cleans up.
//!
//! `tests/run` starts one Postgres and one RabbitMQ for a whole run and names them in
//! [`POSTGRES_URL`] and [`AMQP_URL`]. Without these variables a test process starts its own on
//! first use, which takes a few seconds.

#![expect(
    clippy::disallowed_methods,
    reason = "a test harness lives outside the program: real time, real tasks"
)]
#![allow(
    clippy::missing_panics_doc,
    reason = "a harness reports every failure by panicking with a sentence"
)]

pub mod balancer;
pub mod broker;
pub mod certificates;
pub mod child;
pub mod database;
pub mod eventually;
pub mod follow;
pub mod greedy;
pub mod guard;
pub mod http;
pub mod json_rpc;
pub mod passwd;
pub mod paths;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod psql;
pub mod rabbitmq;
pub mod replicas;
pub mod sse;
pub mod stack;
pub mod tasks;
pub mod unique;

pub use balancer::Balancer;
pub use broker::Broker;
pub use database::Database;
pub use eventually::{eventually, eventually_blocking};
pub use http::Client;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::Postgres;
pub use process::TestProcess;
pub use rabbitmq::RabbitMq;
pub use replicas::Replicas;
pub use stack::{Mode, Stack, StackBuilder};

/// Variable with the address of the test run's Postgres:
/// `postgres://postgres@127.0.0.1:PORT/postgres`.
pub const POSTGRES_URL: &str = "LONGHAUL_TEST_POSTGRES_URL";

/// Variable with the address of the test run's RabbitMQ: `amqp://guest:guest@127.0.0.1:PORT/%2f`.
pub const AMQP_URL: &str = "LONGHAUL_TEST_AMQP_URL";

/// Variable with the folder of the Postgres binaries, to test a version other than the installed
/// one.
pub const PG_BIN: &str = "LONGHAUL_TEST_PG_BIN";

/// Variable with the path of nginx, to test the load balancer on a version other than the installed
/// one.
pub const NGINX: &str = "LONGHAUL_TEST_NGINX";

/// Variable with the path of the Python that has the packages of `tests/python/requirements.txt`.
pub const PYTHON: &str = "LONGHAUL_TEST_PYTHON";
