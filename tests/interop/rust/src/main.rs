//! The Rust SDK (`a2a-client-lf`, with `a2a-grpc` for its third binding) against a running agent.
//! Each scenario checks one promise and prints a line of JSON.
//!
//! ```console
//! longhaul-interop URL[,URL] BINDING [--key KEY] SCENARIO...
//! ```
//!
//! With two addresses, a client that loses its connection to the first reconnects to the second.

mod contents;
mod record;
mod rejections;
mod scenarios;
mod sdk;

use std::process::ExitCode;
use std::time::Duration;

use scenarios::Scenarios;
use sdk::Sdk;
use serde_json::{Value, json};

/// Longest time for one scenario.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut arguments: Vec<String>) -> Result<(), String> {
    let key = arguments.iter().position(|argument| argument == "--key").map(|at| {
        let pair: Vec<String> = arguments.drain(at..at + 2).collect();
        pair[1].clone()
    });
    let [urls, binding, names @ ..] = arguments.as_slice() else {
        return Err("longhaul-interop URL[,URL] BINDING [--key KEY] SCENARIO...".to_owned());
    };
    let mut urls = urls.split(',').cycle();
    let mut next = || Sdk::new(urls.next().unwrap_or_default(), binding, key.clone());
    let scenarios = Scenarios::new(next().await?, next().await?);
    for name in names {
        let seen = tokio::time::timeout(SCENARIO_TIMEOUT, scenarios.run(name))
            .await
            .unwrap_or_else(|_| Err(format!("nothing more after {SCENARIO_TIMEOUT:?}")))
            .map_err(|why| format!("{name}: {why}"))?;
        let mut line = json!({ "scenario": name });
        if let (Value::Object(line), Value::Object(seen)) = (&mut line, seen) {
            line.extend(seen);
        }
        println!("{line}");
    }
    Ok(())
}
