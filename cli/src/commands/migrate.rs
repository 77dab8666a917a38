//! `longhaul migrate`: brings the database to the schema of this version.
//!
//! Each migration is applied as a whole or not at all. Concurrent runs wait for one another.

use crate::{
    args::MigrateArgs,
    exit::{CommandResult, Completion},
    print,
    wiring::{self, store_error},
};
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::telemetry;
use longhaul_store_postgres::PostgresStore;

/// Runs the command.
pub async fn run(args: MigrateArgs, registry: &ExecutorRegistry) -> CommandResult {
    let settings = wiring::load(&args.config, args.overrides(), registry)?;
    let _flushed_on_drop = telemetry::init(&settings.log, "longhaul-migrate")
        .map_err(|error| crate::exit::CommandError::usage(error.to_string()))?;
    let url = wiring::database_url(&settings)?.clone();
    let limit = settings.database.start_timeout.get();
    let applied = PostgresStore::migrate(url, limit).await.map_err(|error| store_error(&error))?;
    print::write_out(&describe(&applied))?;
    Ok(Completion::Ok)
}

fn describe(applied: &[String]) -> String {
    if applied.is_empty() {
        return "up to date\n".to_owned();
    }
    format!("applied {}\n", applied.join("\napplied "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applied_migrations_are_listed() {
        assert_eq!(describe(&[]), "up to date\n");
        assert_eq!(describe(&["0001_tables".to_owned()]), "applied 0001_tables\n");
    }
}
