//! `with-test-services PROGRAM [ARGUMENT…]`: starts one Postgres and one RabbitMQ, runs the program
//! with their addresses in its environment, stops both and exits with the program's exit code.
//!
//! Forwards SIGINT and SIGTERM to the program. If it is killed itself, guards stop the servers.

#![expect(clippy::print_stderr, reason = "this is a command for a terminal")]

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::thread;

use longhaul_tests::{AMQP_URL, POSTGRES_URL, Postgres, RabbitMq};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with-test-services PROGRAM [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let (postgres, rabbitmq) = start();
    let mut command = Command::new(&program);
    command.args(arguments).env(POSTGRES_URL, postgres.url()).env(AMQP_URL, rabbitmq.url());
    match command.spawn() {
        Ok(child) => exit_code(relay_signals(child).await),
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}

fn start() -> (Postgres, RabbitMq) {
    let postgres = thread::spawn(Postgres::private);
    let rabbitmq = RabbitMq::private();
    (postgres.join().expect("Postgres starts; the reason is above"), rabbitmq)
}

async fn relay_signals(mut child: Child) -> ExitStatus {
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be watched");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be watched");
    loop {
        let caught = tokio::select! {
            status = child.wait() => return status.expect("our child can be waited for"),
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // The child may have just ended.
            let _ = kill_process(pid, caught);
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
