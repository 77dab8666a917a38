//! Flags of `longhaul keys`.

use super::server::{ConfigArgs, DatabaseArgs, database_overrides};
use clap::{Args, Subcommand};
use longhaul_domain::Scope;
use longhaul_runtime::settings::SettingOverride;
use std::path::PathBuf;

/// `longhaul keys`.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// Create a key and print it; it is shown this once
    Create(CreateKeyArgs),
    /// List keys; the keys themselves are not kept and not shown
    List(ListKeysArgs),
    /// Revoke a key
    Revoke(RevokeKeyArgs),
}

/// The store of the keys.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyDatabaseArgs {
    /// Folder of `longhaul dev`, which must not be running; else the Postgres database
    #[arg(long, value_name = "DIR", conflicts_with = "database_url")]
    pub data: Option<PathBuf>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl KeyDatabaseArgs {
    /// Converts the flags to settings.
    pub fn overrides(&self) -> Vec<SettingOverride> {
        database_overrides(&self.database, &self.config)
    }
}

/// `longhaul keys create`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul keys create --owner acme --label 'build server'
  longhaul keys create --owner acme --scope read
  longhaul keys create --owner ops --scope operator         for longhaul dead, schedule, queues, workers
  export LONGHAUL_API_KEY=$(longhaul keys create --owner me --data ./longhaul-data)")]
pub struct CreateKeyArgs {
    /// Owner that the key acts for; created if it does not exist
    #[arg(long, value_name = "NAME")]
    pub owner: String,
    /// Scopes of the key: read, write, operator, admin, separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "read,write")]
    pub scope: Vec<Scope>,
    /// Note on the purpose of the key
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub label: String,
    /// The store of the keys.
    #[command(flatten)]
    pub store: KeyDatabaseArgs,
}

/// `longhaul keys list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul keys list
  longhaul keys list --owner acme --json")]
pub struct ListKeysArgs {
    /// List only keys of this owner
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The store of the keys.
    #[command(flatten)]
    pub store: KeyDatabaseArgs,
}

/// `longhaul keys revoke`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul keys revoke 7m2k9qv4t1xz")]
pub struct RevokeKeyArgs {
    /// Id of the key, as `longhaul keys list` shows it and as it stands in the key between the
    /// underscores
    pub id: String,
    /// The store of the keys.
    #[command(flatten)]
    pub store: KeyDatabaseArgs,
}
