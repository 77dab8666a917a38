//! The `longhaul` command.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A task is many small allocations that one thread makes and another frees, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    longhaul_cli::main()
}
