//! The benchmark runs, checks, and writes results that it can read again. What it measures here says nothing.

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

#[test]
fn a_short_run_writes_a_result_that_the_next_one_compares_itself_with() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("result.json");
    let first = run(&["--json"], &file);
    let text = fs::read_to_string(&file).expect("the result was written");
    let result: Value = serde_json::from_str(&text).expect("the result is JSON");
    let rate = result.pointer("/figures/0/values/0/value").and_then(Value::as_f64);
    assert!(rate.is_some_and(|rate| rate > 0.0), "no rate: {text}");
    assert!(shown(&first).contains("2 connections"), "no table: {}", shown(&first));
    let second = run(&["--baseline"], &file);
    assert!(shown(&second).contains("compared with the baseline"), "{}", shown(&second));
}

/// A second of waiting sends on the embedded stack.
fn run(last: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul-bench"));
    command.args(["--parts", "waiting", "--mode", "embedded", "--connections", "2"]);
    let output = command.args(["--seconds", "1"]).args(last).arg(file).output();
    let output = output.expect("the benchmark starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it failed: {errors}{}", shown(&output));
    output
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
