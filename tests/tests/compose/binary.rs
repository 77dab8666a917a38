//! The deployment files' commands and settings, tried on the real binary.

use std::fs;
use std::process::Command;
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::eventually_blocking;
use longhaul_tests::paths::{binary, workspace};
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use tempfile::TempDir;

use super::rules::HEALTH_PATHS;
use super::stack::Deployment;

const PROCESS_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the binary to its end and returns exit status, output and errors.
fn run(launch: ProcessBuilder) -> (ProcessExit, String, String) {
    let process = launch.start();
    let exit = process.wait_exit(PROCESS_TIMEOUT);
    (exit, process.stdout(), process.stderr())
}

/// Asserts that the binary accepts these arguments: with `--help` appended it still parses them.
fn understands(place: &str, arguments: &[String]) {
    let words = arguments.iter().map(String::as_str).chain(["--help"]);
    let (exit, out, error) = run(ProcessBuilder::longhaul(words));
    assert_eq!(
        exit,
        ProcessExit::Code(0),
        "{place} runs {arguments:?}, which is no command: {error}"
    );
    assert!(out.contains("Usage: longhaul "), "{place} runs {arguments:?}: {out}");
}

#[test]
fn every_command_of_the_stack_is_one_of_the_binary() {
    let stack = Deployment::of_this_workspace();
    for service in stack.own() {
        let words: Vec<String> = service.list("command").into_iter().map(str::to_owned).collect();
        assert!(!words.is_empty(), "{} has no command", service.name);
        understands(service.name, &words);
    }
    for unit in &stack.units {
        understands(&unit.name, &unit.arguments());
    }
    let first_key = ["keys", "create", "--owner", "me"].map(str::to_owned);
    understands("the way to the first key", &first_key);
}

/// Complaints of `systemd-analyze verify` about a unit whose program is the binary of this build.
fn verify_unit(name: &str, text: &str) -> String {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join(name);
    let program = binary("longhaul").display().to_string();
    fs::write(&file, text.replace("/usr/local/bin/longhaul", &program)).expect("a unit");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .expect("systemd-analyze, which tests/prepare installs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    // Units of the machine itself may have faults of their own.
    complaints.lines().filter(|line| line.contains("longhaul")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_units_pass_the_verification_of_systemd() {
    for name in ["longhaul-api.service", "longhaul-worker.service"] {
        let path = workspace().join("ops/systemd").join(name);
        let text = fs::read_to_string(&path).expect("a unit");
        assert_eq!(verify_unit(name, &text), "", "{name}");
        let broken = text.replace("[Install]", "Restarts=always\n[Install]");
        assert!(verify_unit(name, &broken).contains("Restarts"), "{name}: the check sees nothing");
    }
}

#[test]
fn the_configuration_of_every_service_passes_config_check() {
    let stack = Deployment::of_this_workspace();
    for service in stack.own() {
        // The other agent's program exists in the image only.
        let launch = ProcessBuilder::longhaul(["config", "check", "--set", "worker.agents=echo"]);
        let env = service.env_here();
        let launch = env.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let (exit, out, error) = run(launch);
        assert_eq!(exit, ProcessExit::Code(0), "{}: {error}", service.name);
        assert!(out.contains("[database]"), "{} shows what is in force: {out}", service.name);
        assert!(!out.contains(":longhaul@"), "{} shows no password: {out}", service.name);
    }
}

/// The health check command of a container.
fn healthcheck(port: &Port, path: &str) -> ProcessExit {
    let program = workspace().join("ops/container/healthcheck");
    run(ProcessBuilder::program(program, [&port.number().to_string(), path])).0
}

fn becomes_healthy(process: &TestProcess, port: &Port) {
    eventually_blocking(PROCESS_TIMEOUT, "the health check succeeds", || {
        assert!(process.is_running(), "it ended: {}", process.stderr());
        match healthcheck(port, "/healthz") {
            ProcessExit::Code(0) => Ok(()),
            exit => Err(exit),
        }
    });
}

#[test]
fn the_health_check_of_the_image_tells_a_node_that_serves_from_one_that_does_not() {
    let (port, folder) = (Port::reserve(), TempDir::new().unwrap());
    let data = folder.path().join("data");
    let listen = format!("127.0.0.1:{}", port.number());
    let arguments = ["dev", "--listen", &listen, "--data", data.to_str().unwrap()];
    let node = ProcessBuilder::longhaul(arguments).current_dir(folder.path()).start();
    becomes_healthy(&node, &port);
    for path in HEALTH_PATHS {
        eventually_blocking(PROCESS_TIMEOUT, path, || match healthcheck(&port, path) {
            ProcessExit::Code(0) => Ok(()),
            exit => Err(exit),
        });
    }
    assert_eq!(healthcheck(&port, "/no-such-path"), ProcessExit::Code(1));
    node.kill9();
    assert_eq!(healthcheck(&port, "/healthz"), ProcessExit::Code(1));
}

/// Soft and hard limit of a process's open files.
fn open_files(process: &TestProcess) -> Result<(u64, u64), String> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid()));
    let limits = limits.map_err(|error| error.to_string())?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.unwrap_or_default().split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(soft)), Some(Ok(hard))) => Ok((soft, hard)),
        _ => Err(limits),
    }
}

#[test]
fn a_process_raises_its_soft_limit_of_open_files_and_says_so() {
    let (port, folder) = (Port::reserve(), TempDir::new().unwrap());
    let listen = format!("127.0.0.1:{}", port.number());
    let command = "ulimit -Sn 512; exec \"$0\" dev --listen \"$1\" --data data";
    let longhaul = longhaul_tests::paths::binary("longhaul");
    let arguments = ["-c", command, longhaul.to_str().unwrap(), &listen];
    let node = ProcessBuilder::program("sh", arguments).current_dir(folder.path()).start();
    becomes_healthy(&node, &port);
    let (soft, hard) = open_files(&node).unwrap();
    assert_eq!(soft, hard.min(65_536));
    assert!(node.stderr().contains("open file limit"), "{}", node.stderr());
}

#[test]
fn a_worker_is_alive_while_it_waits_for_its_database() {
    let (port, folder) = (Port::reserve(), TempDir::new().unwrap());
    let worker = ProcessBuilder::longhaul(["worker"])
        .current_dir(folder.path())
        .env("LONGHAUL_WORKER_LISTEN", format!("127.0.0.1:{}", port.number()))
        .env("LONGHAUL_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .env("LONGHAUL_CONFIG", workspace().join("ops/longhaul.toml"))
        .start();
    becomes_healthy(&worker, &port);
    assert_eq!(healthcheck(&port, "/readyz"), ProcessExit::Code(1));
}
