//! Flags of `longhaul tasks send` for the durability extension.

use super::TimeArg;
use clap::Args;
use longhaul_runtime::settings::HumanDuration;

/// Options of the durability extension, for servers that have it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How the task is run (Longhaul servers)")]
pub struct DurabilityArgs {
    /// Among your tasks for the same agent, higher goes first: -100 to 100 [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i16).range(-100..=100))]
    pub priority: Option<i16>,
    /// Start it no earlier than this time, or this long from now, such as 2h
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<TimeArg>,
    /// Fail it unless it ends by this time, or this long from now
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<TimeArg>,
    /// Number of attempts after which a failure is final [default: the agent's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub max_attempts: Option<u32>,
    /// Longest time that one attempt may take, such as 10m [default: the agent's]
    #[arg(long, value_name = "PERIOD", value_parser = parse_duration)]
    pub timeout: Option<HumanDuration>,
    /// Longest time that it may wait for its first start [default: the agent's]
    #[arg(long, value_name = "PERIOD", value_parser = parse_duration)]
    pub queue_timeout: Option<HumanDuration>,
    /// Longest time that an attempt may go on without a sign of progress [default: the agent's]
    #[arg(long, value_name = "PERIOD", value_parser = parse_duration)]
    pub no_progress_timeout: Option<HumanDuration>,
    /// Deduplication key: a repeat finds the same task, whatever its message id
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Your tasks for the same agent with the same key run one after the other, or as many at once
    /// as the agent allows
    #[arg(long, value_name = "KEY")]
    pub concurrency_key: Option<String>,
}

/// Parses a duration above zero.
fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    HumanDuration::parse(text)
        .filter(|period| !period.is_zero())
        .ok_or_else(|| "write a length of time above zero, such as 500ms, 90s, 2h or 7d".to_owned())
}
