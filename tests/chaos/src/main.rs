//! `longhaul-chaos`: one command, a seed and a duration.

use clap::Parser;
use longhaul_chaos::{
    Rules,
    campaign::{self, Options},
};
use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

/// Breaks a running Longhaul in every way that the seed decides, and checks that every promise was kept.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides what goes wrong and what is asked for.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long there is load and trouble, such as 60s, 10m, 2h.
    #[arg(long, default_value = "60s", value_parser = period)]
    duration: Duration,
    /// Stop asking after so many tasks.
    #[arg(long, default_value_t = u64::MAX)]
    tasks: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// One fault in about this time.
    #[arg(long, default_value = "2500ms", value_parser = period)]
    every: Duration,
    /// `worker.lease` of the workers; Longhaul's default is 15s.
    #[arg(long, default_value = "5s", value_parser = period)]
    lease: Duration,
    /// Only these faults, such as kill,terminate,freeze-long,black-hole-long.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How long everything may take to end once all faults are over.
    #[arg(long, default_value = "60s", value_parser = period)]
    quiesce: Duration,
    /// Write the figures and the verdict to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep logs and journals in a new folder within this one.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { seed, duration, tasks, clients, every, lease, only, quiesce, json, keep } =
        Arguments::parse();
    let rules = Rules { seed, duration, every, lease, only };
    let options = Options { rules, tasks, clients, quiesce, keep };
    let report = campaign::run(&options).await;
    print!("{}", report.text());
    if let Some(path) = json
        && let Err(error) = fs::write(&path, report.json())
    {
        eprintln!("cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `1500ms`, `60s`, `10m`, `2h`.
fn period(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().map_err(|_| "begins with no number".to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("ends with none of ms, s, m, h".to_owned()),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}
