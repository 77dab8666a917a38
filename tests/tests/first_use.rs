//! First use from the command line: reasons for failed tasks, available agents, and hints on next
//! steps.

use std::fs;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::tasks::{TASK_TIMEOUT, id, send};
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes};
use serde_json::Value;

on_both_modes!(
    failed_attempts_are_seen_with_their_causes,
    a_final_failure_says_why,
    what_there_is_can_be_found,
);

fn run(stack: &Stack, arguments: &[&str]) -> TestProcess {
    stack.command(arguments).env("LONGHAUL_URL", stack.base()).start()
}

/// The output of a command that ends with this code, and its errors.
fn ended(process: &TestProcess, code: i32) -> (String, String) {
    let (exit, out, error) = (process.wait_exit(TASK_TIMEOUT), process.stdout(), process.stderr());
    assert_eq!(exit, ProcessExit::Code(code), "{out}{error}");
    (out, error)
}

fn task_of(shown: &str) -> &str {
    let id = shown.strip_prefix("task ").and_then(|rest| rest.split_whitespace().next());
    id.unwrap_or_else(|| panic!("no task in {shown}"))
}

/// The log line with this event, as JSON.
fn logged(stack: &Stack, event: &str) -> Value {
    let logs = stack.logs();
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = lines.filter(|line| line["message"] == event);
    found.next().unwrap_or_else(|| panic!("no {event:?} in {logs}"))
}

async fn failed_attempts_are_seen_with_their_causes(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let (shown, _) = ended(&run(&stack, &["tasks", "send", "!flaky 2; complete well"]), 0);
    let attempt = |number: u32| {
        format!("attempt {number} failed: failed as asked in attempt {number}; the next in ")
    };
    for number in [1, 2] {
        assert!(shown.contains(&attempt(number)), "{shown}");
        assert_eq!(shown.matches(&attempt(number)).count(), 1, "each is told once: {shown}");
    }
    let task = task_of(&shown);
    let (got, _) = ended(&run(&stack, &["tasks", "get", task]), 0);
    assert!(got.contains("agent script  attempt 3") && got.contains(&attempt(2)), "{got}");
    let (log, _) = ended(&run(&stack, &["tasks", "log", task]), 0);
    for part in ["agent script", "!flaky 2", "working", "completed: well", &attempt(1)] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    let (notes, _) = ended(&run(&stack, &["tasks", "log", task, "--attempts", "--json"]), 0);
    let notes: Value = serde_json::from_str(&notes).expect("a page of JSON");
    let causes: Vec<&str> = notes["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|note| note["body"]["cause"].as_str())
        .collect();
    assert_eq!(causes, ["failed as asked in attempt 1", "failed as asked in attempt 2"]);

    let line = logged(&stack, "attempt failed");
    assert_eq!((&line["level"], &line["task_id"]), (&"WARN".into(), &task.into()), "{line}");
    assert_eq!((&line["agent"], &line["attempt"]), (&"script".into(), &1.into()), "{line}");
    assert_eq!(line["cause"], "failed as asked in attempt 1");
}

async fn a_final_failure_says_why(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let (shown, _) = ended(&run(&stack, &["tasks", "send", "!fail it is broken"]), 3);
    assert!(shown.contains("it is broken") && shown.contains("fatal"), "{shown}");
    let line = logged(&stack, "task failed");
    assert_eq!((&line["level"], &line["agent"]), (&"ERROR".into(), &"script".into()), "{line}");
    assert_eq!((&line["task_id"], &line["attempt"]), (&task_of(&shown).into(), &1.into()));
    assert_eq!((&line["because"], line["cause"].is_string()), (&"fatal".into(), true), "{line}");
}

async fn what_there_is_can_be_found(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let task = id(&send(&stack.client(), "hello").await);
    let (listed, _) = ended(&run(&stack, &["tasks", "list"]), 0);
    assert!(listed.starts_with("TASK") && listed.contains("AGENT"), "{listed}");
    assert!(listed.contains(&format!("{task}  script")), "{listed}");
    let (_, short) = task.split_at(task.len() - 8);
    let (got, _) = ended(&run(&stack, &["tasks", "get", short]), 0);
    assert_eq!(task_of(&got), task);
    let (agents, _) = ended(&run(&stack, &["agents"]), 0);
    for name in ["direct", "echo", "script"] {
        assert!(agents.contains(name), "{name} is not in {agents}");
    }
    let nobody = ["tasks", "send", "--agent", "nobody", "hello"];
    let (_, complaint) = ended(&run(&stack, &nobody), 1);
    assert!(complaint.contains("there are direct, echo, script"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_artifact_is_saved_and_the_screen_names_the_files() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let out = stack.folder().join("out");
    let folder = out.display().to_string();
    let text = "!chunks 3 12; artifact data; complete";
    let (shown, _) = ended(&run(&stack, &["tasks", "send", text, "--output", &folder]), 0);
    let (mut text, mut values) = (String::new(), 0);
    for file in fs::read_dir(&out).expect("the folder was made").flatten() {
        let (name, content) =
            (file.file_name().into_string().expect("a name"), fs::read_to_string(file.path()));
        let content = content.expect("it is text");
        assert!(shown.contains(&name), "{name} is not in {shown}");
        if file.path().extension().is_some_and(|end| end == "txt") {
            text.push_str(&content);
        } else {
            values +=
                content.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
        }
    }
    assert!(text.contains("0000001") && text.contains("0000003"), "{text}");
    assert!(values > 0 && !shown.contains("0000002"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_callers_get_the_reason() {
    let nowhere = Port::reserve();
    let url = format!("http://{}", nowhere.address());
    let (_, complaint) = ended(&ProcessBuilder::lab(["tasks", "list", "--url", &url]).start(), 1);
    assert!(complaint.contains("`longhaul dev` starts one"), "{complaint}");

    let stack = StackBuilder::new(Mode::Embedded).key("alice", "read,write").start().await;
    let tls = stack.base().replace("http://", "https://");
    let (_, complaint) = ended(&run(&stack, &["tasks", "list", "--url", &tls]), 1);
    assert!(complaint.contains("does not speak TLS: use http://"), "{complaint}");
    let (_, none) = ended(&run(&stack, &["tasks", "list"]), 1);
    assert!(none.contains("Authentication is required") && none.contains("show an API key"));
    for command in [&["tasks", "list"][..], &["agents"], &["queues"]] {
        let wrong = [command, &["--api-key", "lh_000000000000_wrong"]].concat();
        let (_, wrong) = ended(&run(&stack, &wrong), 1);
        assert!(wrong.contains("The API key is not known to this server"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_an_address_to_listen_on() {
    let (port, folder) = (Port::reserve(), tempfile::TempDir::new().expect("a folder"));
    let listen = format!("localhost:{}", port.number());
    let data = folder.path().join("data").display().to_string();
    let node = ProcessBuilder::lab(["dev", "--listen", &listen, "--data", &data]);
    let node = node.current_dir(folder.path()).start();
    node.wait_ready(&format!("http://{}", port.address())).await;
}
