//! Postgres's own programs, and SQL through `psql`: the harness depends on no database driver.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{PG_BIN, paths};

/// Runs SQL and returns its rows, one a line, columns separated by `|`; or the error message.
pub fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new(program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run psql: {error}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A Postgres program: of the version that [`PG_BIN`] chooses, else of the newest one installed.
pub(crate) fn program(name: &str) -> PathBuf {
    let chosen: Vec<PathBuf> = env::var_os(PG_BIN).into_iter().map(PathBuf::from).collect();
    if let Some(folder) = chosen.first() {
        // Some distributions of Postgres lack psql among the binaries; any version of it will do.
        assert!(
            name == "psql" || folder.join(name).is_file(),
            "{PG_BIN} is set, and {} lacks {name}",
            folder.display()
        );
    }
    let folders: Vec<PathBuf> =
        chosen.into_iter().chain(paths::versions("/usr/lib/postgresql", "bin")).collect();
    paths::program(name, &folders).unwrap_or_else(|| {
        panic!("no Postgres program {name} found: ./tests/run installs it; or set {PG_BIN}")
    })
}
