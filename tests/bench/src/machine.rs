//! The machine and version that were measured.

use std::{fs, process::Command};

/// The machine and the version that is measured.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Processor, memory, kernel, compiler.
    pub lines: Vec<String>,
    /// Output of `git describe`; empty without git.
    pub version: String,
}

impl Machine {
    /// Inspects this machine.
    pub fn inspect() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
        let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory =
            memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        let gib = memory.map_or(0, |kib: u64| kib / 1024 / 1024);
        let kernel = output("uname", &["-sr"]);
        let model = model.map_or("unknown processor", str::trim);
        let machine = format!("{model}, {cores} cores, {gib} GiB, {kernel}");
        let version = output("git", &["describe", "--always", "--dirty", "--tags"]);
        Self { lines: vec![machine, output("rustc", &["--version"])], version }
    }

    /// Prints machine and version, with the load average before the run.
    pub fn print(&self) {
        println!("machine: {}", self.lines.join("; "));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("unknown");
        println!("version: {}; load average before: {load}", self.version);
    }
}

/// The first line that a program prints; nothing when it does not run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}
