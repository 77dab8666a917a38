//! The benchmark: starts the stack on this machine, drives it over loopback, checks every answer, and prints figures.
//!
//! Closed loop: each connection sends, waits for the finished task, and sends again. Everything is durable as in
//! production: Postgres with `synchronous_commit=on` and `fsync=on`, quorum queues, SQLite with `synchronous=FULL`.

mod drive;
mod idle;
mod machine;
mod report;
mod stack;
mod stream;
mod wal;

use clap::Parser;
use stack::{Mode, Stack};
use std::{process::ExitCode, time::Duration};

/// Starts the stack, drives it and prints figures.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which stacks to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mode::Embedded, Mode::Distributed])]
    mode: Vec<Mode>,
    /// Connections of the waiting sends.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    connections: Vec<usize>,
    /// Seconds to measure each row, after a warm-up of a fifth of that.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Chunks of the stream.
    #[arg(long, value_delimiter = ',', default_values_t = [500])]
    chunks: Vec<u32>,
    /// Parked tasks with which an idle stack is measured; absent: it is not.
    #[arg(long, value_delimiter = ',')]
    parked: Vec<usize>,
    /// Also print the figures as one line of JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The HTTP client wants a provider even where no TLS is spoken. A second one would be refused; there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(run(&arguments));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) {
    let measured = Duration::from_secs(arguments.seconds.max(1));
    machine::print();
    let mut rows = Vec::new();
    let mut idle = Vec::new();
    for mode in &arguments.mode {
        let stack = Stack::start(*mode).await;
        println!("{}", stack.versions());
        for connections in &arguments.connections {
            rows.push(drive::waiting_sends(&stack, *connections, measured).await);
        }
        for chunks in &arguments.chunks {
            rows.push(stream::one(&stack, *chunks).await);
        }
        for parked in &arguments.parked {
            idle.push(idle::idle(&stack, *parked, measured).await);
        }
    }
    report::print(&rows);
    idle::print(&idle);
    if arguments.json {
        println!("{}", report::json(&rows));
    }
}
