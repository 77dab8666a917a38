//! Flags of `longhaul dev`, `api`, `worker`, `migrate` and `config`.

use clap::{Args, Subcommand};
use longhaul_runtime::settings::SettingOverride;
use std::path::PathBuf;

/// The sources of the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file [default: LONGHAUL_CONFIG, else longhaul.toml in this folder if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any key, as in --set worker.lease=30s; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
}

/// Splits `section.key=value`.
fn parse_assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("write it as SECTION.KEY=VALUE, such as worker.lease=30s")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl ConfigArgs {
    /// Converts `--set` to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        let one = |(key, value): &(String, String)| SettingOverride {
            key: key.clone(),
            value: value.clone(),
            flag: "--set".to_owned(),
        };
        self.set.iter().map(one).collect()
    }
}

/// The settings of the flags that were given.
struct FlagOverrides(Vec<SettingOverride>);

impl FlagOverrides {
    fn add(mut self, flag: &str, key: &str, value: Option<impl ToString>) -> Self {
        // The value stays text: the settings parse it, and name the flag in their errors.
        if let Some(value) = value {
            self.0.push(SettingOverride {
                key: key.to_owned(),
                value: value.to_string(),
                flag: flag.to_owned(),
            });
        }
        self
    }

    fn add_if(self, flag: &str, key: &str, given: bool) -> Self {
        self.add(flag, key, given.then_some(true))
    }
}

/// The database.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseArgs {
    /// Postgres database, postgres://user:password@host:port/name; better in LONGHAUL_DATABASE_URL,
    /// where others on this machine do not see it
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

/// `longhaul dev`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul dev
  longhaul dev --listen 127.0.0.1:9000 --data /var/tmp/longhaul
  longhaul dev --config agents.toml --auth keys

Without configured agents there are two: `echo`, which answers where no agent is named, and `demo`. With configured
agents the first one answers where none is named, unless server.default_agent says otherwise.")]
pub struct DevArgs {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Folder that holds the data [default: ./longhaul-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Authentication of callers: none, keys [default: none]
    #[arg(long, value_name = "MODE")]
    pub auth: Option<String>,
    /// Listen beyond loopback although the API needs no key
    #[arg(long)]
    pub allow_unauthenticated: bool,
    /// Most tasks that run at once [default: 16]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl DevArgs {
    /// Converts the flags to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        FlagOverrides(self.config.overrides())
            .add("--listen", "server.listen", self.listen.as_ref())
            .add("--data", "embedded.data", self.data.as_ref())
            .add("--auth", "auth.mode", self.auth.as_ref())
            .add_if(
                "--allow-unauthenticated",
                "server.allow_unauthenticated",
                self.allow_unauthenticated,
            )
            .add("--concurrency", "worker.concurrency", self.concurrency.as_ref())
            .0
    }
}

/// `longhaul api`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  LONGHAUL_DATABASE_URL=postgres://… LONGHAUL_AMQP_URL=amqp://… longhaul api
  longhaul api --listen 0.0.0.0:8080 --public-url https://agents.example.com

Waits for the database up to database.start_timeout, then gives up. Does not insist on the broker: without it, workers
find their work by looking.")]
pub struct ApiArgs {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// URL under which clients reach the API, for agent cards
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Authentication of callers: none, keys [default: keys]
    #[arg(long, value_name = "MODE")]
    pub auth: Option<String>,
    /// Listen beyond loopback although the API needs no key
    #[arg(long)]
    pub allow_unauthenticated: bool,
    /// Agent of requests that name none
    #[arg(long, value_name = "NAME")]
    pub default_agent: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// RabbitMQ broker, amqp://user:password@host:port/vhost; better in LONGHAUL_AMQP_URL
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl ApiArgs {
    /// Converts the flags to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        FlagOverrides(self.config.overrides())
            .add("--listen", "server.listen", self.listen.as_ref())
            .add("--public-url", "server.public_url", self.public_url.as_ref())
            .add("--auth", "auth.mode", self.auth.as_ref())
            .add_if(
                "--allow-unauthenticated",
                "server.allow_unauthenticated",
                self.allow_unauthenticated,
            )
            .add("--default-agent", "server.default_agent", self.default_agent.as_ref())
            .add("--database-url", "database.url", self.database.database_url.as_ref())
            .add("--amqp-url", "amqp.url", self.amqp_url.as_ref())
            .0
    }
}

/// `longhaul worker`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  LONGHAUL_DATABASE_URL=postgres://… LONGHAUL_AMQP_URL=amqp://… longhaul worker
  longhaul worker --concurrency 64 --agents documents,echo --listen 127.0.0.1:8081

Waits for the database up to database.start_timeout, then gives up. Does not insist on the broker: without it, the
worker finds its work by looking, every worker.probe_interval.")]
pub struct WorkerArgs {
    /// Address and port for /healthz and /readyz [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Most tasks that run at once [default: 16]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
    /// Run only these of the configured agents, separated by commas
    #[arg(long, value_name = "NAMES")]
    pub agents: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// RabbitMQ broker, amqp://user:password@host:port/vhost; better in LONGHAUL_AMQP_URL
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl WorkerArgs {
    /// Converts the flags to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        FlagOverrides(self.config.overrides())
            .add("--listen", "worker.listen", self.listen.as_ref())
            .add("--concurrency", "worker.concurrency", self.concurrency.as_ref())
            .add("--agents", "worker.agents", self.agents.as_ref())
            .add("--database-url", "database.url", self.database.database_url.as_ref())
            .add("--amqp-url", "amqp.url", self.amqp_url.as_ref())
            .0
    }
}

/// `longhaul migrate`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  LONGHAUL_DATABASE_URL=postgres://… longhaul migrate")]
pub struct MigrateArgs {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl MigrateArgs {
    /// Converts the flags to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        database_overrides(&self.database, &self.config)
    }
}

/// Converts the flags of a command that uses only the database to settings.
pub fn database_overrides(database: &DatabaseArgs, config: &ConfigArgs) -> Vec<SettingOverride> {
    FlagOverrides(config.overrides())
        .add("--database-url", "database.url", database.database_url.as_ref())
        .0
}

/// `longhaul config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and print the settings in force, without secrets
    #[command(after_help = "Examples:
  longhaul config check
  longhaul config check --config /etc/longhaul.toml --set log.format=json")]
    Check(ConfigArgs),
    /// List every key with its variable and default
    #[command(after_help = "Examples:
  longhaul config keys
  longhaul config keys --json")]
    Keys {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
