//! The `longhaul` command.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A task makes many small allocations on one thread and frees them on another, which is slow with
/// the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    longhaul_cli::main()
}
