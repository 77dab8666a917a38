//! Flags of the commands for operators: `longhaul dead`, `longhaul queues`, `longhaul workers`.

use super::{DEFAULT_URL, TimeArg};
use clap::{Args, Subcommand};
use longhaul_domain::FailureKind;

/// The owner of all tasks on servers without API keys.
pub const LOCAL_OWNER: &str = "local";

/// The deployment and the API key.
#[derive(Debug, Clone, Default, Args)]
pub struct DeploymentArgs {
    /// Address of a Longhaul server
    #[arg(long, value_name = "URL", env = "LONGHAUL_URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// API key with the scope operator; better in LONGHAUL_API_KEY, where others on this machine do
    /// not see it
    #[arg(long, value_name = "KEY", env = "LONGHAUL_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `longhaul dead`.
#[derive(Debug, Clone, Subcommand)]
pub enum DeadCommand {
    /// List tasks that failed for good and were not handled yet, the latest first
    List(ListDeadArgs),
    /// Show a dead task with the cause of its failure and its log
    Show(ShowDeadArgs),
    /// Redrive dead tasks, each as a new task in the same context
    Redrive(RedriveDeadArgs),
    /// Dismiss dead tasks that need no action
    Dismiss(DismissDeadArgs),
}

/// A filter of dead tasks.
#[derive(Debug, Clone, Default, Args)]
pub struct DeadFilterArgs {
    /// Only tasks of this owner [default: all]
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Only tasks of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only this kind of failure: fatal, attempts-used-up, poison, queue-timeout, attempt-timeout,
    /// no-progress, deadline
    #[arg(long, value_name = "KIND", value_parser = parse_failure_kind)]
    pub because: Option<FailureKind>,
    /// Only failures at or after this time, or in the last period, such as 24h
    #[arg(long, value_name = "TIME")]
    pub from: Option<TimeArg>,
    /// Only failures before this time, or longer ago than this
    #[arg(long, value_name = "TIME")]
    pub before: Option<TimeArg>,
    /// Only causes that contain this text
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,
}

/// `longhaul dead list`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul dead list
  longhaul dead list --agent documents --from 24h --cause 'connection refused'
  longhaul dead list --because poison --all --json")]
pub struct ListDeadArgs {
    /// The filter.
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// List redriven and dismissed tasks too
    #[arg(long)]
    pub handled: bool,
    /// Most tasks to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Show all of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul dead show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul dead show 0199f0c2-…
  longhaul dead show 0199f0c2-… --owner acme --json")]
pub struct ShowDeadArgs {
    /// Id of the task
    pub task: String,
    /// Owner of the task, as `longhaul dead list` shows it
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul dead redrive`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul dead redrive 0199f0c2-… 0199f0c3-… --owner acme
  longhaul dead redrive --all --agent documents --cause 'connection refused'
  longhaul dead redrive --all --because attempts-used-up --before 1h --yes

Prints the dead task and the new one. A task that was redriven before gives the same new task again. With --all, what
fails again meanwhile is left for the next time.")]
pub struct RedriveDeadArgs {
    /// Ids of tasks, all of one owner [default owner: local]
    #[arg(value_name = "TASK", required_unless_present = "all", conflicts_with = "all")]
    pub tasks: Vec<String>,
    /// Redrive all tasks that match the other flags; asks first
    #[arg(long)]
    pub all: bool,
    /// The filter.
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// Most tasks to redrive
    #[arg(long, value_name = "N", conflicts_with = "tasks", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Redrive without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul dead dismiss`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul dead dismiss 0199f0c2-… --owner acme")]
pub struct DismissDeadArgs {
    /// Ids of tasks, all of one owner
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<String>,
    /// Owner of the tasks
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul queues`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul queues
  longhaul queues --json")]
pub struct ListQueuesArgs {
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul workers`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul workers
  longhaul workers --json")]
pub struct ListWorkersArgs {
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

impl DeadFilterArgs {
    /// Returns true if a criterion other than the owner is set.
    pub const fn has_criteria(&self) -> bool {
        self.agent.is_some()
            || self.because.is_some()
            || self.from.is_some()
            || self.before.is_some()
            || self.cause.is_some()
    }
}

fn parse_failure_kind(text: &str) -> Result<FailureKind, String> {
    // `QUEUE_TIMEOUT` and `queue-timeout` name the same kind.
    FailureKind::from_name(&text.to_ascii_lowercase().replace('_', "-")).ok_or_else(|| {
        let names: Vec<&str> = FailureKind::ALL.into_iter().map(FailureKind::name).collect();
        format!("use one of {}", names.join(", "))
    })
}
