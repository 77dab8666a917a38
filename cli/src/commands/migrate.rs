//! `longhaul migrate`: the schema of this version, once for a deployment.
//!
//! Each migration is applied whole or not at all; any number of these commands may run at once.

use crate::{
    args::MigrateArgs,
    exit::{Done, Outcome},
    parts::{self, sentence},
    print,
};
use longhaul_runtime::telemetry;
use longhaul_store_postgres::PostgresStore;

/// Runs the command.
pub async fn run(args: MigrateArgs) -> Outcome {
    let settings = parts::load(&args.configured, args.overrides())?;
    let _flushed_at_the_end = telemetry::init(&settings.log, "longhaul-migrate")
        .map_err(|error| crate::exit::Failure::usage(error.to_string()))?;
    let url = parts::database_url(&settings)?.clone();
    let limit = settings.database.start_timeout.get();
    let applied = PostgresStore::migrate(url, limit).await.map_err(|error| sentence(&error))?;
    print::write_out(&said(&applied))?;
    Ok(Done::Ok)
}

fn said(applied: &[String]) -> String {
    if applied.is_empty() {
        return "up to date\n".to_owned();
    }
    format!("applied {}\n", applied.join("\napplied "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_applied() {
        assert_eq!(said(&[]), "up to date\n");
        assert_eq!(said(&["0001_tables".to_owned()]), "applied 0001_tables\n");
    }
}
