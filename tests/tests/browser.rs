//! Pages in a real browser against a real server: a foreign page reaches nothing, an allowed one
//! everything.
//!
//! The checks are in `tests/interop/js/browser.mjs`, one scenario for each promise. The pages have
//! host names of their own, which the browser is configured to resolve, so that a foreign name can
//! lead to the server.

use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::process::ProcessBuilder;
use longhaul_tests::{Mode, Stack, StackBuilder, paths};

/// Longest time for all scenarios together; each has a shorter limit of its own and reports it.
const SCENARIOS_TIMEOUT: Duration = Duration::from_secs(240);

/// A server that allows pages of one origin and has one host name besides its address.
fn setup() -> StackBuilder {
    StackBuilder::new(Mode::Embedded)
        .set("server.cors_origins", "http://app.example")
        .set("server.allowed_hosts", "agents.example")
}

fn assert_all_pass(stack: &Stack, key: Option<&str>, scenarios: &[&str]) {
    let program = paths::workspace().join("tests/interop/js/browser.mjs");
    let modules = paths::prepared("test-js/browser");
    let mut arguments: Vec<String> =
        [program, modules].iter().map(|path| path.display().to_string()).collect();
    arguments.extend([paths::browser().display().to_string(), stack.base()]);
    arguments.extend(scenarios.iter().map(|&scenario| scenario.to_owned()));
    if let Some(key) = key {
        arguments.extend(["--key".to_owned(), key.to_owned()]);
    }
    let process = ProcessBuilder::program(paths::prepared("test-js/node"), arguments).start();
    let exit = process.wait_exit(SCENARIOS_TIMEOUT);
    assert_eq!(exit, ProcessExit::Code(0), "{}\n{}", process.stdout(), process.stderr());
    assert_eq!(process.stdout().lines().count(), scenarios.len(), "{}", process.stdout());
    stack.assert_no_errors_logged();
}

#[tokio::test]
async fn a_foreign_page_reaches_nothing_on_an_open_server() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    assert_all_pass(&stack, None, &["stranger", "rebinding"]);
}

#[tokio::test]
async fn a_page_that_is_allowed_sends_streams_resumes_and_listens() {
    let stack = setup().start().await;
    let scenarios = ["allowed", "eventSource", "own", "stranger", "rebinding"];
    assert_all_pass(&stack, None, &scenarios);
}

#[tokio::test]
async fn with_keys_an_allowed_page_shows_its_own_and_others_have_none() {
    let stack = setup().key("reader", "read,write").start().await;
    assert_all_pass(&stack, Some(stack.key(0)), &["allowed", "keyless"]);
}
