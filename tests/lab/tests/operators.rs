//! Commands of operators, against a deployment in one process.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

fn longhaul() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul-lab"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGHAUL_"))
    {
        command.env_remove(name);
    }
    command
}

const AGENTS: &str = "[[agent]]\nname = \"echo\"\nexecutor = \"echo\"\n\n[[agent]]\nname = \"script\"\nexecutor = \"script\"\n";

/// A `longhaul dev` with its data; dropped with this value.
struct Dev {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Dev {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        std::fs::write(folder.path().join("longhaul.toml"), AGENTS)
            .expect("the temporary folder is writable");
        let mut child = longhaul()
            .args(["dev", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built with this test");
        let out = child.stdout.take().expect("it is piped");
        let card = BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("card").map(|card| card.trim().to_owned()));
        let card = card.expect("it says where its card is");
        let url = card.split("/.well-known").next().expect("a part in front").to_owned();
        Self { child, url, _folder: folder }
    }

    /// Runs a command against it; returns exit code, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = longhaul();
        let output = command.args(arguments).args(["--url", &self.url]).output();
        let output = output.expect("the binary was built with this test");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{error}");
        out
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.succeed(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Sends a task that fails permanently, and returns its id.
    fn dead(&self) -> String {
        let (code, out, error) =
            self.run(&["tasks", "send", "!fail", "--agent", "script", "--no-stream", "--json"]);
        assert_eq!(code, Some(3), "{out}{error}");
        let answer: Value = serde_json::from_str(&out).expect("one line of JSON");
        answer["task"]["id"].as_str().expect("a task with an id").to_owned()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A child that has ended already cannot be killed, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_dead_task_is_listed_shown_redriven_and_dismissed() {
    let dev = Dev::start();
    assert_eq!(dev.succeed(&["dead", "list"]), "no dead tasks\n");
    let task = dev.dead();
    let list = dev.succeed(&["dead", "list", "--agent", "script", "--because", "fatal"]);
    assert!(list.contains(&task) && list.contains("local"), "{list}");
    assert_eq!(dev.succeed(&["dead", "list", "--cause", "no such text"]), "no dead tasks\n");
    let shown = dev.succeed(&["dead", "show", &task]);
    for part in [task.as_str(), "failed as asked", "fatal", "message", "status"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }

    let redriven = dev.succeed(&["dead", "redrive", &task]);
    let (from, new) = redriven.trim().split_once(" → ").expect("from and to");
    assert_eq!(from, task);
    let again = dev.json(&["dead", "redrive", &task]);
    assert_eq!((again["to"].as_str(), again["already"].as_bool()), (Some(new), Some(true)));
    assert_eq!(dev.run(&["tasks", "watch", new]).0, Some(3), "it fails again");

    let dismissed = dev.succeed(&["dead", "dismiss", new]);
    assert!(dismissed.contains(new), "{dismissed}");
    assert_eq!(dev.succeed(&["dead", "list"]), "no dead tasks\n");
    let handled = dev.succeed(&["dead", "list", "--handled", "--all"]);
    assert!(handled.contains(&format!("redriven as {new}")), "{handled}");
    assert!(handled.contains("dismissed"), "{handled}");
}

#[test]
fn all_dead_tasks_are_redriven_once_and_others_are_reported() {
    let dev = Dev::start();
    let tasks = [dev.dead(), dev.dead(), dev.dead()];
    let (code, _, error) = dev.run(&["dead", "redrive", "--all"]);
    assert!(code == Some(2) && error.contains("--yes"), "{error}");
    let out = dev.succeed(&["dead", "redrive", "--all", "--yes", "--agent", "script"]);
    assert_eq!(out.lines().count(), tasks.len(), "{out}");
    assert!(tasks.iter().all(|task| out.contains(task)), "{out}");

    let unknown = "0199f0c2-0000-7000-8000-000000000000";
    let (code, _, error) = dev.run(&["dead", "redrive", unknown]);
    assert!(code == Some(1) && error.contains(unknown) && error.contains("--owner"), "{error}");
    let (code, _, error) = dev.run(&["dead", "show", unknown]);
    assert!(code == Some(1) && error.starts_with("longhaul: the server refused"), "{error}");
}

#[test]
fn a_schedule_is_put_shown_fired_paused_and_deleted() {
    let dev = Dev::start();
    let put = dev.succeed(&[
        "schedule",
        "put",
        "nightly-build",
        "--agent",
        "echo",
        "--cron",
        "0 3 * * *",
        "--time-zone",
        "Europe/Berlin",
        "--text",
        "go",
    ]);
    assert!(put.starts_with("schedule nightly-build makes its next task at "), "{put}");
    let list = dev.succeed(&["schedule", "list"]);
    assert!(list.contains("nightly-build") && list.contains("Europe/Berlin"), "{list}");

    let fired = dev.json(&["schedule", "fire", "nightly-build"]);
    let task = fired["taskId"].as_str().expect("the id of a task");
    assert_eq!(dev.run(&["tasks", "watch", task]).0, Some(0), "it completes");
    let shown = dev.json(&["schedule", "show", "nightly-build"]);
    assert_eq!(shown["last"]["taskId"].as_str(), Some(task));

    let paused = dev.succeed(&["schedule", "pause", "nightly-build"]);
    assert_eq!(paused, "schedule nightly-build is paused\n");
    assert!(dev.succeed(&["schedule", "resume", "nightly-build"]).contains("next task at"));
    dev.succeed(&["schedule", "delete", "nightly-build"]);
    assert_eq!(dev.succeed(&["schedule", "list"]), "no schedules\n");
    let (code, _, error) = dev
        .run(&["schedule", "put", "bad", "--agent", "echo", "--cron", "whenever", "--text", "go"]);
    assert!(code == Some(1) && error.contains("cron"), "{error}");
}

#[test]
fn queues_and_workers_are_shown() {
    let dev = Dev::start();
    let sent =
        dev.json(&["tasks", "send", "later", "--agent", "echo", "--not-before", "1h", "--no-wait"]);
    assert_eq!(sent["task"]["status"]["state"], "TASK_STATE_SUBMITTED");
    let queues = dev.json(&["queues"]);
    let echo = queues["queues"].as_array().expect("a list").iter().find(|q| q["agent"] == "echo");
    assert_eq!(echo.expect("the agent")["scheduled"], 1);
    assert!(dev.succeed(&["queues"]).starts_with("AGENT"));
    let workers = dev.json(&["workers"]);
    let agents = workers["workers"][0]["agents"].as_array().expect("a list").len();
    assert_eq!(agents, 2, "{workers}");
    assert!(dev.succeed(&["workers"]).contains("echo"));
}

#[test]
fn an_unreachable_server_is_an_error() {
    for command in [["dead", "list"], ["schedule", "list"]] {
        let mut run = longhaul();
        let output = run.args(command).args(["--url", "http://127.0.0.1:1"]).output();
        let output = output.expect("the binary was built with this test");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("http://127.0.0.1:1") && error.contains("cannot be reached"),
            "{error}"
        );
    }
}
