//! Flags of `longhaul schedule`.

use super::operator::{DeploymentArgs, LOCAL_OWNER};
use clap::{Args, Subcommand, ValueEnum};
use longhaul_client::operator_json::MissedFirings;
use std::path::PathBuf;

/// `longhaul schedule`.
#[derive(Debug, Clone, Subcommand)]
pub enum ScheduleCommand {
    /// Make a schedule, or change the one of that name
    Put(Box<PutScheduleArgs>),
    /// List schedules
    List(ListSchedulesArgs),
    /// Show a schedule
    #[command(after_help = "Examples:
  longhaul schedule show nightly --owner acme")]
    Show(ScheduleNameArgs),
    /// Keep a schedule from making tasks until it is resumed
    #[command(after_help = "Examples:
  longhaul schedule pause nightly")]
    Pause(ScheduleNameArgs),
    /// Let a paused schedule make tasks again, from its next time on
    #[command(after_help = "Examples:
  longhaul schedule resume nightly")]
    Resume(ScheduleNameArgs),
    /// Make a task of a schedule now, besides its times
    #[command(after_help = "Examples:
  longhaul schedule fire nightly")]
    Fire(ScheduleNameArgs),
    /// Delete a schedule; the tasks that it made stay
    #[command(after_help = "Examples:
  longhaul schedule delete nightly")]
    Delete(ScheduleNameArgs),
}

/// The handling of firings that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MissedFiringsArg {
    /// They are left out
    Skip,
    /// One task stands for all of them
    #[default]
    Once,
    /// Each gets its task, the latest hundred at most
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
    /// Its name, unique within the owner
    pub name: String,
    /// Who does the tasks
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// When: minute, hour, day of the month, month, day of the week, or @daily and the like; a sixth field in front stands for seconds
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: String,
    /// In which time zone the expression is read
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// What happens to times that went by while nobody could make tasks
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub missed: MissedFiringsArg,
    /// What to say to the agent
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
    /// The conversation of all of its tasks [default: each has one of its own]
    #[arg(long, value_name = "ID")]
    pub context: Option<String>,
    /// Make no task until it is resumed; one that is paused stays so in any case
    #[arg(long)]
    pub paused: bool,
    /// Whose tasks they are
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
    /// Of this owner [default: of all]
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// A schedule, by name and owner.
#[derive(Debug, Clone, Default, Args)]
pub struct ScheduleNameArgs {
    /// Its name
    pub name: String,
    /// Its owner, as `longhaul schedule list` shows it
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
    /// The deployment.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}
