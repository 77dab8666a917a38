//! The `longhaul` command with one more executor, `script`.
//!
//! Commands, flags, messages and the allocator are those of the product. So a test, a conformance
//! kit or the benchmark that runs this binary exercises what users run.

use longhaul_cli::ExecutorRegistry;
use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let executors = ExecutorRegistry::new().register("script", longhaul_script::from_env);
    longhaul_cli::main_with(executors)
}
