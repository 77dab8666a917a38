//! A worker with the agent of the chaos suite.

use longhaul_chaos::executor::ChaosExecutor;
use longhaul_executor::Executor;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    match ChaosExecutor::from_environment() {
        Ok(chaos) => longhaul_cli::worker_main([Arc::new(chaos) as Arc<dyn Executor>]),
        Err(error) => {
            eprintln!("no journal: {error}");
            ExitCode::FAILURE
        }
    }
}
