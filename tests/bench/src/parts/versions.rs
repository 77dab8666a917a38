//! Other versions of Postgres under the same load.
//!
//! [`POSTGRES_FOLDERS_VAR`] lists the folders with `initdb` and `postgres`, separated by colons.
//! `docs/performance.md` says where to get binaries of every version.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    load::ClosedLoop,
    stack::StackMode,
    stats::{count, latencies},
};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

/// Environment variable with the folders of the binaries.
const POSTGRES_FOLDERS_VAR: &str = "LONGHAUL_BENCH_POSTGRES";

/// Connections: a single client, and many.
const CONNECTIONS: [usize; 2] = [1, 256];

/// Measures the default version and all others.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    if !bench.wants(StackMode::Distributed) {
        return Vec::new();
    }
    let folders = match folders() {
        Ok(folders) => folders,
        Err(why) => {
            println!("versions: skipped: {why}");
            return Vec::new();
        }
    };
    let mut figures = Vec::new();
    for folder in std::iter::once(None).chain(folders.iter().map(|folder| Some(folder.as_path()))) {
        figures.extend(version(bench, folder).await);
    }
    figures
}

fn folders() -> Result<Vec<PathBuf>, String> {
    let value = env::var_os(POSTGRES_FOLDERS_VAR).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| {
        format!(
            "{POSTGRES_FOLDERS_VAR} is not set to the folders with the programs of other versions of Postgres"
        )
    })?;
    let folders: Vec<PathBuf> = env::split_paths(&value).collect();
    let lacks = |folder: &&PathBuf| {
        !["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
    };
    match folders.iter().find(lacks) {
        Some(folder) => {
            Err(format!("{} of {POSTGRES_FOLDERS_VAR} lacks initdb or postgres", folder.display()))
        }
        None => Ok(folders),
    }
}

/// Measures one version.
async fn version(bench: &Bench, folder: Option<&Path>) -> Vec<Figure> {
    let plan = bench.plan(StackMode::Distributed);
    let plan = folder.map_or_else(|| plan.clone(), |folder| plan.clone().binaries(folder));
    let stack = plan.start().await;
    let database = stack.database.as_ref().expect("a distributed stack has a database");
    let server = database.sql("show server_version");
    let major = server.split(['.', ' ']).next().unwrap_or_default().to_owned();
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let load = ClosedLoop {
            connections,
            warm_up: bench.warm_up(),
            measured: bench.row_duration(),
            notification_time: Duration::ZERO,
        };
        let closed = load.run(&stack).await;
        let mut values = vec![FigureValue::more("rate", closed.rate(), "tasks/s")];
        values.extend(latencies(&closed.latencies));
        values.extend(closed.usage.values(count(closed.latencies.len())));
        let what = format!("Postgres {major}, {connections} connections");
        figures.push(Figure { stack: stack.mode.name(), part: "versions", what, values });
    }
    figures
}
