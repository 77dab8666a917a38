//! Published SDKs against a real server: each SDK, over each of its bindings, sees what is
//! promised.
//!
//! The checks are in `tests/interop`, one scenario for each promise: `card`, `send`, `stream`,
//! `turns`, `get`, `list`, `cancel`, `resubscribe`, `silence`, `separators`, `files`, `data`,
//! `errors`, `push` and `extended`. The matrix in `docs/conformance.md` names the tests here.

mod programs;

use std::collections::BTreeSet;
use std::process::Command;

use longhaul_tests::{Mode, Stack, StackBuilder, paths};
use programs::{Binding, Program};

/// Settings for all SDKs: cards give gRPC addresses in the form that most SDKs can dial, and every
/// agent has an extended card. Keep-alives are frequent, so that a scenario sees several.
fn setup(mode: Mode) -> StackBuilder {
    StackBuilder::new(mode)
        .set("cards.grpc", "host-port")
        .set("cards.extended", "always")
        .set("server.keep_alive", "300ms")
        .set("server.cancel_grace", "30s")
}

/// Runs one binding against one process.
async fn run_on_one_process(program: Program, binding: Binding) {
    let stack = setup(Mode::Embedded).start().await;
    program.start(&[&stack.base()], binding, None).assert_all_passed();
    stack.assert_no_errors_logged();
}

/// Runs all bindings at the same time on two API nodes, Postgres and RabbitMQ, with a key. A client
/// that loses its connection reconnects to the other node.
async fn run_on_two_nodes(program: Program, bindings: &[Binding]) {
    let setup = setup(Mode::Distributed).nodes(2).workers(2);
    let stack: Stack = setup.key("reader", "read,write").start().await;
    let bases: Vec<String> =
        stack.nodes().iter().map(longhaul_tests::stack::NodeSlot::base).collect();
    let bases: Vec<&str> = bases.iter().map(String::as_str).collect();
    let start = |binding: &Binding| program.start(&bases, *binding, Some(stack.key(0)));
    let running: Vec<_> = bindings.iter().map(start).collect();
    for program in running {
        program.assert_all_passed();
    }
    stack.assert_no_errors_logged();
}

/// Tests of an earlier client release that is still in use: each of its bindings on one process.
macro_rules! pinned {
    ($name:ident, $program:expr, $($test:ident: $binding:ident),*) => {
        mod $name {
            use super::{Binding, Program};

            $(#[tokio::test]
            async fn $test() { super::run_on_one_process($program, Binding::$binding).await; })*
        }
    };
}

/// Tests of one client: each of its bindings on one process, and all of them on two nodes.
macro_rules! client {
    ($name:ident, $program:expr, $($test:ident: $binding:ident),*) => {
        mod $name {
            use super::{Binding, Program};

            $(#[tokio::test]
            async fn $test() { super::run_on_one_process($program, Binding::$binding).await; })*

            #[tokio::test]
            async fn on_servers() { super::run_on_two_nodes($program, &[$(Binding::$binding),*]).await; }
        }
    };
}

client!(python_1, Program::python_1("1.0"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(python_1_as_0_3, Program::python_1("0.3"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(python_0_3, Program::python_0_3("test-venv-0.3"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(javascript_1, Program::javascript_1("1.0"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(javascript_1_as_0_3, Program::javascript_1("0.3"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(javascript_0_3, Program::javascript_0_3(), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(rust_1, Program::rust(), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
client!(demo_0_1, Program::demo_0_1(), json_rpc: JsonRpc);
pinned!(python_1_0, Program::python_1_0(), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
pinned!(python_0_3_10, Program::python_0_3("test-venv-0.3.10"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
pinned!(python_0_3_0, Program::python_0_3("test-venv-0.3.0"), json_rpc: JsonRpc, http_json: HttpJson, grpc: Grpc);
pinned!(python_0_2, Program::python_0_2(), json_rpc: JsonRpc);
pinned!(javascript_0_2, Program::javascript_0_2(), json_rpc: JsonRpc);

#[test]
fn the_documented_matrix_names_every_test_and_no_other() {
    let document = std::fs::read_to_string(paths::workspace().join("docs/conformance.md"));
    let document = document.expect("the document is there");
    let (_, clients) = document.split_once("\n## Clients\n").expect("it has the section");
    let section = clients.split("\n## ").next().unwrap_or_default();
    let named: BTreeSet<&str> = section.split('`').filter(|word| word.contains("::")).collect();

    let itself = std::env::current_exe().expect("a running test knows its own path");
    let listed = Command::new(itself).args(["--list", "--format", "terse"]).output();
    let listed = String::from_utf8(listed.expect("it lists its tests").stdout).expect("text");
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let tests: BTreeSet<&str> = tests.filter(|name| name.contains("::")).collect();
    assert!(!tests.is_empty(), "{listed}");
    assert_eq!(named, tests);
}
