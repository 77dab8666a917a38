//! The runner of the conformance corpus, on cases of our own: it reports every case that should
//! fail.

use std::path::Path;
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::process::ProcessBuilder;
use longhaul_tests::{Mode, StackBuilder, paths};
use serde_json::Value;

/// Longest time for the cases over one transport.
const CASES_TIMEOUT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn cases_of_the_corpus_pass_or_fail_as_expected_over_every_transport() {
    let conformance = paths::workspace().join("tests/conformance");
    let settings = std::fs::read_to_string(conformance.join("kit-acts.toml")).expect("settings");
    let stack = StackBuilder::new(Mode::Embedded).config(&settings).start().await;
    let folder = tempfile::tempdir().expect("a folder");
    for transport in ["jsonrpc", "rest", "grpc"] {
        let report = folder.path().join(transport);
        let own = conformance.join("acts/own");
        let shown = |path: &Path| path.display().to_string();
        let arguments = [
            shown(&conformance.join("acts/run.py")),
            format!("--corpus={}", shown(&own)),
            format!("--readings={}", shown(&own.join("readings.yaml"))),
            format!("--report={}", shown(&report)),
            format!("--url={}", stack.base()),
            format!("--transport={transport}"),
        ];
        let launch =
            ProcessBuilder::program(paths::python(), arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        let process = launch.start();
        let exit = process.wait_exit(CASES_TIMEOUT);
        // Some cases fail, so the whole run does.
        assert_eq!(exit, ProcessExit::Code(1), "{}\n{}", process.stdout(), process.stderr());
        let report = std::fs::read_to_string(&report).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let tests = report["suites"][0]["tests"].as_array().expect("tests");
        assert!(!tests.is_empty());
        for test in tests {
            let id = test["id"].as_str().expect("an id").to_ascii_lowercase();
            let result = test["result"].as_str().expect("a result");
            assert!(id.starts_with(result), "{transport}: {test}");
        }
    }
}
