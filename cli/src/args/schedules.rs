//! Flags of `longhaul schedule`.

use super::operator::{DeploymentArgs, LOCAL_OWNER};
use clap::{Args, Subcommand, ValueEnum};
use longhaul_client::operator_json::MissedFirings;
use std::path::PathBuf;

/// `longhaul schedule`.
#[derive(Debug, Clone, Subcommand)]
pub enum ScheduleCommand {
    /// Create a schedule, or change the one with this name
    Put(Box<PutScheduleArgs>),
    /// List schedules
    List(ListSchedulesArgs),
    /// Show a schedule
    #[command(after_help = "Examples:
  longhaul schedule show nightly --owner acme")]
    Show(ScheduleNameArgs),
    /// Pause a schedule: it makes no tasks until it is resumed
    #[command(after_help = "Examples:
  longhaul schedule pause nightly")]
    Pause(ScheduleNameArgs),
    /// Resume a paused schedule, from its next time on
    #[command(after_help = "Examples:
  longhaul schedule resume nightly")]
    Resume(ScheduleNameArgs),
    /// Make a task of a schedule now, in addition to its times
    #[command(after_help = "Examples:
  longhaul schedule fire nightly")]
    Fire(ScheduleNameArgs),
    /// Delete a schedule; its tasks stay
    #[command(after_help = "Examples:
  longhaul schedule delete nightly")]
    Delete(ScheduleNameArgs),
}

/// The handling of firings that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MissedFiringsArg {
    /// Skip them
    Skip,
    /// Make one task for all of them
    #[default]
    Once,
    /// Make a task for each, the latest hundred at most
    All,
}

impl From<MissedFiringsArg> for MissedFirings {
    fn from(arg: MissedFiringsArg) -> Self {
        match arg {
            MissedFiringsArg::Skip => Self::Skip,
            MissedFiringsArg::Once => Self::Once,
            MissedFiringsArg::All => Self::All,
        }
    }
}

/// `longhaul schedule put`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul schedule put nightly --agent reports --cron '0 3 * * *' --time-zone Europe/Berlin --text 'Report on yesterday'
  longhaul schedule put hourly --agent sync --cron '@hourly' --message-file message.json --missed skip")]
pub struct PutScheduleArgs {
    /// Name of the schedule, unique within its owner
    pub name: String,
    /// Agent of the tasks
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// Cron expression: minute, hour, day of the month, month, day of the week, or @daily and the
    /// like; a sixth field in front stands for seconds
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: String,
    /// Time zone of the expression
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Handling of firings that were missed while no API node ran
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub missed: MissedFiringsArg,
    /// Text of the message
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "message_file",
        conflicts_with = "message_file"
    )]
    pub text: Option<String>,
    /// The whole message as A2A JSON, with files, data or metadata; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// Context that all of its tasks share [default: a new one for each]
    #[arg(long, value_name = "ID")]
    pub context: Option<String>,
    /// Create it paused; an existing schedule that is paused stays paused
    #[arg(long)]
    pub paused: bool,
    /// Owner of the tasks
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `longhaul schedule list`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul schedule list
  longhaul schedule list --owner acme --json")]
pub struct ListSchedulesArgs {
    /// List only schedules of this owner [default: all]
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// A schedule, by name and owner.
#[derive(Debug, Clone, Default, Args)]
pub struct ScheduleNameArgs {
    /// Name of the schedule
    pub name: String,
    /// Owner of the schedule, as `longhaul schedule list` shows it
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}
