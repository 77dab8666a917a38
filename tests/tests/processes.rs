//! Processes as systems start and stop them: agents that fail to start, signals, terminals, killed
//! workers, PID 1 in a container, resource limits, clocks.

use std::fs;
use std::path::Path;
use std::process::Command;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::tasks::{TASK_TIMEOUT, get, id, send, start, state, wait_for_state};
use longhaul_tests::{Client, Mode, StackBuilder, eventually, on_both_modes};
use serde_json::Value;
use tempfile::TempDir;

on_both_modes!(
    an_agent_that_does_not_start_affects_no_other_and_its_tasks_wait,
    plugins_die_with_a_worker_that_is_killed,
);

/// A plugin that stops reading once it has a run, with a child process; it writes both pids to a
/// file.
const UNRESPONSIVE_PLUGIN: &str = r#"
import json, os, subprocess, sys, time
for line in sys.stdin:
    said = json.loads(line)
    if said["type"] == "hello":
        print(json.dumps({"type": "ready", "protocol": 1}), flush=True)
    elif said["type"] == "run":
        child = subprocess.Popen(["sleep", "1000"])
        with open("pids.new", "w") as file: file.write(f"{os.getpid()} {child.pid}")
        os.rename("pids.new", "pids")
        while True: time.sleep(1000)
"#;

/// A plugin that completes every run, and leaves a child in a session of its own that ends shortly
/// after.
const ORPHANING_PLUGIN: &str = r#"
import json, subprocess, sys
for line in sys.stdin:
    said = json.loads(line)
    if said["type"] == "hello":
        print(json.dumps({"type": "ready", "protocol": 1}), flush=True)
    elif said["type"] == "run":
        subprocess.Popen(["setsid", "sh", "-c", "(sleep 0.2 &) ; exit 0"]).wait()
        print(json.dumps({"type": "completed", "run": said["run"], "text": "done"}), flush=True)
"#;

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("our folder is writable");
}

/// Returns true while a process runs. A zombie has ended.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// `longhaul dev` in a folder with a `longhaul.toml`, started through a wrapper command.
struct Dev {
    process: TestProcess,
    folder: TempDir,
    port: Port,
}

impl Dev {
    /// Starts it behind the wrapper `before`, such as `["setsid"]`.
    async fn start(before: &[&str], toml: &str, files: &[(&str, &str)]) -> Self {
        let folder =
            TempDir::with_prefix("longhaul-dev-").expect("the temporary folder is writable");
        write(folder.path(), "longhaul.toml", toml);
        for (name, text) in files {
            write(folder.path(), name, text);
        }
        let port = Port::reserve();
        let process = Self::launch(before, &port, folder.path());
        let dev = Self { process, folder, port };
        dev.process.wait_ready(&dev.base()).await;
        dev
    }

    fn launch(before: &[&str], port: &Port, folder: &Path) -> TestProcess {
        let binary = longhaul_tests::paths::binary("longhaul-lab").display().to_string();
        let address = port.address();
        let command = [&binary, "dev", "--listen", &address, "--data", "data"];
        let words: Vec<&str> = before.iter().copied().chain(command).collect();
        let launch = ProcessBuilder::program(words[0], &words[1..]).current_dir(folder);
        launch.env("SCRIPT_EFFECTS_FOLDER", folder).start()
    }

    fn base(&self) -> String {
        format!("http://{}", self.port.address())
    }

    fn client(&self) -> Client {
        Client::new(&self.base())
    }

    /// Waits until nothing listens any more.
    async fn gone(&self) {
        let address = self.port.address();
        eventually(TASK_TIMEOUT, "the server has ended", async || {
            let connected = tokio::net::TcpStream::connect(&address).await;
            connected.map_or(Ok(()), |_| Err("it listens"))
        })
        .await;
    }

    /// Restarts it on the same data.
    async fn again(&mut self) -> Client {
        self.process = Self::launch(&["env"], &self.port, self.folder.path());
        self.process.wait_ready(&self.base()).await;
        self.client()
    }
}

const SCRIPT: &str = "[[agent]]\nname = \"script\"\nexecutor = \"script\"\n";

fn process_agent(name: &str, command: &str) -> String {
    format!(
        "name = {name:?}\nexecutor = \"process\"\n[agent.process]\ncommand = {command}\nkill_grace = \"1s\""
    )
}

async fn an_agent_that_does_not_start_affects_no_other_and_its_tasks_wait(mode: Mode) {
    let late = process_agent("late", "[\"./late.sh\"]");
    let stack = StackBuilder::new(mode).agent(&late).start().await;
    let client = stack.client();
    assert_eq!(state(&send(&client, "the others run").await), "COMPLETED");
    let (worker, log) = match mode {
        Mode::Embedded => (&stack.nodes()[0], stack.nodes()[0].running().stdout()),
        Mode::Distributed => (&stack.workers()[0], stack.logs()),
    };
    assert!(log.contains("late"), "it is named: {log}");
    assert!(log.contains("late.sh does not exist"), "with the cause: {log}");
    let ready = Client::new(&worker.base()).get("/readyz").await.json();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["components"]["agents"]["reason"], "not started: late", "{ready}");

    let waiting = id(&start(&client.clone().rpc_path("/agents/late"), "hello").await);
    let program =
        format!("#!/bin/sh\nexec python3 -c '{}'\n", ORPHANING_PLUGIN.replace('\'', "\""));
    write(stack.folder(), "late.new", &program);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(stack.folder().join("late.new"), executable).expect("the file is ours");
    fs::rename(stack.folder().join("late.new"), stack.folder().join("late.sh")).expect("as well");
    let done = wait_for_state(&client, &waiting, "COMPLETED").await;
    assert_eq!(done["status"]["message"]["parts"][0]["text"], "done");
    let ready = Client::new(&worker.base()).get("/readyz").await.json();
    assert_eq!(ready["components"]["agents"]["ok"], true, "{ready}");
}

async fn plugins_die_with_a_worker_that_is_killed(mode: Mode) {
    let deaf = process_agent("deaf", "[\"python3\", \"deaf.py\"]");
    let folder = TempDir::new().expect("the temporary folder is writable");
    write(folder.path(), "deaf.py", UNRESPONSIVE_PLUGIN);
    let deaf = format!("{deaf}\nworking_dir = \"{}\"", folder.path().display());
    let mut stack = StackBuilder::new(mode).agent(&deaf).start().await;
    start(&stack.client().rpc_path("/agents/deaf"), "hello").await;
    let pids = eventually(TASK_TIMEOUT, "the plugin runs", async || {
        fs::read_to_string(folder.path().join("pids"))
    });
    let pids: Vec<String> = pids.await.split(' ').map(str::to_owned).collect();
    assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
    match mode {
        Mode::Embedded => stack.kill_node(0),
        Mode::Distributed => stack.kill_workers(),
    }
    eventually(TASK_TIMEOUT, "plugin and child are gone", async || {
        let left: Vec<&String> = pids.iter().filter(|pid| runs(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} run")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_drains_on_sighup() {
    let stack = StackBuilder::new(Mode::Distributed).set("worker.drain", "30s").start().await;
    let client = stack.client();
    let running = id(&start(&client, "!progress 1; wait 1500; complete in peace").await);
    wait_for_state(&client, &running, "WORKING").await;
    let worker = stack.workers()[0].running();
    worker.sighup();
    assert_eq!(worker.wait_exit(TASK_TIMEOUT), ProcessExit::Code(0), "{}", worker.stderr());
    assert_eq!(state(&get(&client, &running).await), "COMPLETED");
    assert!(stack.logs().contains("SIGHUP"), "it says why it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_terminal_closes_drains_and_loses_nothing() {
    // `script` gives its command a terminal, which disappears when `script` is killed.
    let binary = longhaul_tests::paths::binary("longhaul-lab").display().to_string();
    let (folder, port) = (TempDir::new().expect("a folder"), Port::reserve());
    write(folder.path(), "longhaul.toml", SCRIPT);
    let line =
        format!("exec {binary} dev --listen {} --data data --set worker.drain=30s", port.address());
    let launch = ProcessBuilder::program("script", ["-q", "-c", &line, "/dev/null"]);
    let process = launch.current_dir(folder.path()).start();
    let mut dev = Dev { process, folder, port };
    dev.process.wait_ready(&dev.base()).await;
    let client = dev.client();
    let running = id(&start(&client, "!progress 20 50; wait 500; complete in peace").await);
    wait_for_state(&client, &running, "WORKING").await;
    dev.process.kill9();
    dev.gone().await;
    // The kernel releases the file a moment after the process has gone.
    eventually(TASK_TIMEOUT, "the data is free", async || {
        let keys = ProcessBuilder::lab(["keys", "list", "--data", "data"]);
        let keys = keys.current_dir(dev.folder.path()).start();
        let exit = keys.wait_exit(TASK_TIMEOUT);
        if exit == ProcessExit::Code(0) { Ok(()) } else { Err(keys.stderr()) }
    })
    .await;
    let task = get(&dev.again().await, &running).await;
    assert_eq!(state(&task), "COMPLETED", "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_the_first_process_of_a_container_it_reaps_orphans_and_drains() {
    let unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"];
    let tried = Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        println!("skipped: this user may not make a process namespace");
        return;
    }
    let agent =
        format!("{SCRIPT}[[agent]]\n{}\n", process_agent("litter", "[\"python3\", \"litter.py\"]"));
    let dev = Dev::start(&unshare, &agent, &[("litter.py", ORPHANING_PLUGIN)]).await;
    let first = children(dev.process.pid());
    assert_eq!(first.len(), 1, "the namespace has one first process");
    let litter = dev.client().rpc_path("/agents/litter");
    for _ in 0..4 {
        assert_eq!(state(&send(&litter, "hello").await), "COMPLETED");
    }
    eventually(TASK_TIMEOUT, "no zombie is left", async || {
        let left = children(first[0]);
        let zombies = left.iter().filter(|pid| !runs(&pid.to_string())).count();
        // Only the real process remains: orphans have ended and are reaped.
        if zombies == 0 && left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let kill = Command::new("kill").args(["-TERM", &first[0].to_string()]).status();
    assert!(kill.expect("kill exists").success());
    assert_eq!(
        dev.process.wait_exit(TASK_TIMEOUT),
        ProcessExit::Code(0),
        "{}",
        dev.process.stderr()
    );
    assert!(dev.process.stderr().contains("draining"), "{}", dev.process.stderr());
}

/// Pids of a process's children.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_open_files_is_raised_and_service_variables_are_ignored_and_both_are_said() {
    let before = [
        "env",
        "LONGHAUL_PORT=tcp://10.0.0.1:80",
        "LONGHAUL_SERVICE_HOST=10.0.0.1",
        "prlimit",
        "--nofile=256:4096",
        "--",
    ];
    let dev = Dev::start(&before, SCRIPT, &[]).await;
    let limits =
        fs::read_to_string(format!("/proc/{}/limits", dev.process.pid())).expect("it runs");
    let files =
        limits.lines().find(|line| line.starts_with("Max open files")).expect("it is listed");
    assert_eq!(files.split_whitespace().collect::<Vec<_>>()[3..5], ["4096", "4096"]);
    let said = dev.process.stderr();
    assert!(said.contains("open file limit"), "{said}");
    assert!(said.contains("variables that Kubernetes sets"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_usable_output_still_serves() {
    let before = ["sh", "-c", "exec \"$@\" > /dev/full 2>&1", "sh"];
    let dev = Dev::start(&before, SCRIPT, &[]).await;
    assert_eq!(state(&send(&dev.client(), "hello").await), "COMPLETED");
    dev.process.sigterm();
    assert_eq!(dev.process.wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
}

#[test]
fn a_key_that_cannot_be_shown_is_not_left_behind() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let binary = longhaul_tests::paths::binary("longhaul-lab").display().to_string();
    let line = format!("{binary} keys create --owner me --data data > /dev/full");
    let create = ProcessBuilder::program("sh", ["-c", &line]).current_dir(folder.path()).start();
    assert_eq!(create.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1));
    assert!(create.stderr().contains("is revoked again"), "{}", create.stderr());
    let list = ProcessBuilder::lab(["keys", "list", "--data", "data", "--json"]);
    let list = longhaul_tests::stack::expect_success(&list.current_dir(folder.path()).start());
    let keys: Value = serde_json::from_str(&list).expect("JSON");
    assert!(keys[0]["revokedAt"].is_string() && keys[1].is_null(), "{keys}");
}

#[test]
fn a_check_of_the_configuration_looks_for_the_programs_of_agents() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let check = |toml: &str| {
        write(folder.path(), "longhaul.toml", toml);
        ProcessBuilder::lab(["config", "check"]).current_dir(folder.path()).start()
    };
    let good = format!("[[agent]]\n{}\n", process_agent("good", "[\"sh\", \"x.sh\"]"));
    let said = longhaul_tests::stack::expect_success(&check(&good));
    assert!(said.contains("# agent good: ok: /"), "{said}");
    let bad = format!("{good}[[agent]]\n{}\n", process_agent("bad", "[\"pyton3\", \"x.py\"]"));
    let refused = check(&bad);
    assert_eq!(refused.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1));
    let said = refused.stderr();
    assert!(said.contains("agent bad: there is no program \"pyton3\" in PATH"), "{said}");
    assert!(refused.stdout().contains("# agent good: ok"), "{}", refused.stdout());
}

/// A clock for one process that a test sets: Debian's libfaketime, which reads this file on each
/// call.
struct FakeClock(TempDir);

impl FakeClock {
    fn new() -> Option<(Self, Vec<String>)> {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"].into_iter();
        let library = folders
            .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
            .find(|path| Path::new(path).exists())?;
        let clock = Self(TempDir::new().ok()?);
        clock.set("+0");
        let file = clock.0.path().join("clock").display().to_string();
        let before = [
            "env".to_owned(),
            format!("LD_PRELOAD={library}"),
            format!("FAKETIME_TIMESTAMP_FILE={file}"),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        Some((clock, before.into()))
    }

    fn set(&self, offset: &str) {
        write(self.0.path(), "new", offset);
        fs::rename(self.0.path().join("new"), self.0.path().join("clock")).expect("it is ours");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_and_back_delays_an_embedded_server_by_seconds_at_most() {
    let Some((clock, before)) = FakeClock::new() else {
        println!("skipped: libfaketime is not installed");
        return;
    };
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let timed = "[[agent]]\nname = \"timed\"\nexecutor = \"script\"\ntotal_timeout = \"10m\"\n";
    let dev = Dev::start(&before, &format!("{SCRIPT}{timed}"), &[]).await;
    let client = dev.client();
    // Its tasks have a wall-clock deadline.
    let timed = dev.client().rpc_path("/agents/timed");
    for offset in ["-90", "+0", "+400d", "+0", "-400d", "+0"] {
        // The task waits for its next attempt while the clock is changed.
        let flaky = start(&client, "!flaky 1; retry-after 1500; complete again").await;
        let flaky = id(&flaky);
        clock.set(offset);
        assert_eq!(state(&send(&timed, "in time").await), "COMPLETED", "{offset}");
        wait_for_state(&client, &flaky, "COMPLETED").await;
    }
    assert!(!dev.process.stderr().contains("panicked"), "{}", dev.process.stderr());
}
