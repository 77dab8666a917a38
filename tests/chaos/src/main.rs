//! `longhaul-chaos`: one command, a seed and a duration.

use clap::Parser;
use longhaul_chaos::{CampaignOptions, PlanOptions, campaign};
use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

/// Injects faults into a running Longhaul, as the seed decides, and checks that every promise was
/// kept.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the faults and of the load.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Duration of load and faults, such as 60s, 10m, 2h.
    #[arg(long, default_value = "60s", value_parser = period)]
    duration: Duration,
    /// Number of tasks after which clients start no more.
    #[arg(long, default_value_t = u64::MAX)]
    tasks: u64,
    /// Number of concurrent clients.
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// Mean time between two faults.
    #[arg(long, default_value = "2500ms", value_parser = period)]
    every: Duration,
    /// `worker.lease` of the workers; Longhaul's default is 15s.
    #[arg(long, default_value = "5s", value_parser = period)]
    lease: Duration,
    /// Use only these faults, such as kill,terminate,freeze-long,black-hole-long.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Time for every task to end once all faults are over.
    #[arg(long, default_value = "60s", value_parser = period)]
    quiesce: Duration,
    /// Write figures and violations to this file.
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
    let plan = PlanOptions { seed, duration, every, lease, only };
    let options = CampaignOptions { plan, tasks, clients, quiesce, keep };
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

/// Parses a duration such as `1500ms`, `60s`, `10m` or `2h`.
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
