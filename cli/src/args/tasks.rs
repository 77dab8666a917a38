//! Flags of `longhaul tasks`.

use super::DurabilityArgs;
use clap::{Args, Subcommand};
use longhaul_domain::TaskState;
use std::path::PathBuf;

/// The default address of `longhaul dev`.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// `longhaul tasks`.
#[derive(Debug, Clone, Subcommand)]
pub enum TasksCommand {
    /// Send a message, and show status and artifacts as they come
    Send(Box<SendTaskArgs>),
    /// Show a task
    Get(GetTaskArgs),
    /// List tasks, the latest change first
    List(ListTasksArgs),
    /// Show status and artifacts of a task as they come
    Watch(WatchTaskArgs),
    /// Show the log of a task: its messages, artifacts, failed attempts and their causes
    Log(TaskLogArgs),
    /// Cancel a task
    Cancel(CancelTaskArgs),
}

/// The server, the agent and the API key.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    /// Address of an A2A 1.0 server that speaks JSON-RPC
    #[arg(long, value_name = "URL", env = "LONGHAUL_URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// API key; better in LONGHAUL_API_KEY, where others on this machine do not see it
    #[arg(long, value_name = "KEY", env = "LONGHAUL_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// The agent, where the server has several
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}

/// `longhaul tasks send`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul tasks send 'hello'
  longhaul tasks send 'Split this by page' --agent documents --file report.pdf --output pages
  longhaul tasks send --agent documents --file https://example.com/report.pdf
  echo 'a long text' | longhaul tasks send -
  longhaul tasks send 'Clean up' --not-before 2h --max-attempts 5 --no-wait
  longhaul tasks send 'by chapter' --task 0199f0c2-…        answer a question of a task

Interrupting it (Ctrl-C) leaves the task running.")]
pub struct SendTaskArgs {
    /// Text of the message; - reads it from standard input
    #[arg(required_unless_present_any = ["file", "data"])]
    pub text: Option<String>,
    /// Send a file, or the address of one; the media type follows from the name unless it is given
    /// after a colon
    #[arg(long, value_name = "PATH[:TYPE]")]
    pub file: Vec<String>,
    /// Send a JSON value
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// Answer this task, which asks for input: its id, or the beginning or end of one
    #[arg(long, value_name = "ID")]
    pub task: Option<String>,
    /// Start the task in this context
    #[arg(long, value_name = "ID")]
    pub context: Option<String>,
    /// Metadata of the message, a JSON object
    #[arg(long, value_name = "JSON")]
    pub metadata: Option<String>,
    /// Id of the message; a repeat finds the same task [default: a new one]
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// Return as soon as the task is accepted
    #[arg(long, conflicts_with = "no_stream")]
    pub no_wait: bool,
    /// Wait for the end, then show everything
    #[arg(long)]
    pub no_stream: bool,
    /// Save every artifact in this folder: text, values and files
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print the A2A JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Options of the durability extension.
    #[command(flatten)]
    pub durability: DurabilityArgs,
}

/// `longhaul tasks get`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul tasks get 0199f0c2-…
  longhaul tasks get 0199f0c2-… --history 10 --json")]
pub struct GetTaskArgs {
    /// Id of the task, or the beginning or end of one
    pub id: String,
    /// Number of latest messages to show
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub history: u32,
    /// Save every artifact in this folder: text, values and files
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print the A2A JSON
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `longhaul tasks list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul tasks list
  longhaul tasks list --state input-required --limit 5
  longhaul tasks list --context my-conversation --json")]
pub struct ListTasksArgs {
    /// List only tasks in this state, such as working or input-required
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    pub state: Option<TaskState>,
    /// List only tasks of this context
    #[arg(long, value_name = "ID")]
    pub context: Option<String>,
    /// Most tasks to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print the A2A JSON
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `longhaul tasks watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul tasks watch 0199f0c2-…

Follows the task to its end, over any number of lost connections. Interrupting it (Ctrl-C) leaves the task running.")]
pub struct WatchTaskArgs {
    /// Id of the task, or the beginning or end of one
    pub id: String,
    /// Save every artifact in this folder: text, values and files
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print the A2A JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `longhaul tasks log`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul tasks log 0199f0c2-…
  longhaul tasks log 0199f0c2-… --attempts
  longhaul tasks log 0199f0c2-… --after 120 --json

Longhaul servers only; for the owner of the task. Operators see more: longhaul dead show.")]
pub struct TaskLogArgs {
    /// Id of the task, or the beginning or end of one
    pub id: String,
    /// Show only entries behind this one
    #[arg(long, value_name = "SEQ", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub after: i64,
    /// Most entries to show
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Show only failed attempts, lost workers and cancel requests
    #[arg(long)]
    pub attempts: bool,
    /// Print JSON, a page a line
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `longhaul agents`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul agents
  longhaul agents --url https://agents.example.com --json")]
pub struct ListAgentsArgs {
    /// Address of a Longhaul server
    #[arg(long, value_name = "URL", env = "LONGHAUL_URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// API key; better in LONGHAUL_API_KEY, where others on this machine do not see it
    #[arg(long, value_name = "KEY", env = "LONGHAUL_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `longhaul tasks cancel`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul tasks cancel 0199f0c2-…")]
pub struct CancelTaskArgs {
    /// Id of the task, or the beginning or end of one
    pub id: String,
    /// Print the A2A JSON
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Parses a state by the name that the commands show.
fn parse_state(text: &str) -> Result<TaskState, String> {
    // The names of serde are those that the commands show.
    let name = serde_json::Value::String(text.to_ascii_lowercase().replace('_', "-"));
    serde_json::from_value(name).map_err(|_| {
        "use submitted, working, completed, failed, canceled, rejected, input-required or auth-required".to_owned()
    })
}
