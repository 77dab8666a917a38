//! The command line, as used by people and scripts.

use std::fs;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::{TASK_TIMEOUT, id, send, start, wait_for_state};
use longhaul_tests::{Database, Mode, Stack, StackBuilder, eventually};
use serde_json::Value;

fn tasks(stack: &Stack, arguments: &[&str]) -> TestProcess {
    let arguments: Vec<&str> = ["tasks"].iter().chain(arguments).copied().collect();
    stack.command(&arguments).env("LONGHAUL_URL", stack.base()).start()
}

/// The command's output as JSON values, one a line.
fn json_lines(process: &TestProcess) -> Vec<Value> {
    let parse = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
    };
    process.stdout().lines().map(parse).collect()
}

fn ended(process: &TestProcess, code: i32) -> String {
    assert_eq!(
        process.wait_exit(TASK_TIMEOUT),
        ProcessExit::Code(code),
        "{}{}",
        process.stdout(),
        process.stderr()
    );
    process.stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_task_is_seen_with_its_progress_and_artifacts() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let shown = ended(&tasks(&stack, &["send", "!progress 2; chunks 3 12; complete all done"]), 0);
    for part in ["step 1 of 2", "step 2 of 2", "0000001", "0000003", "completed", "all done"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let shown = ended(&tasks(&stack, &["send", "--no-stream", "plain words"]), 0);
    assert!(shown.contains("plain words"), "{shown}");
    let shown = ended(&tasks(&stack, &["send", "--agent", "echo", "said again"]), 0);
    assert!(shown.contains("said again"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_how_the_task_ended() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    for (text, code) in
        [("hello", 0), ("!fail", 3), ("!reject", 3), ("!cancel", 4), ("!ask", 5), ("!dance", 3)]
    {
        ended(&tasks(&stack, &["send", text]), code);
        ended(&tasks(&stack, &["send", "--json", text]), code);
        ended(&tasks(&stack, &["send", "--no-stream", text]), code);
    }
    ended(&tasks(&stack, &["get", "018f2f6e-7b7a-7000-8000-000000000001"]), 1);
    ended(&tasks(&stack, &["cancel", "nonsense"]), 1);
    ended(&tasks(&stack, &["send"]), 2);
    ended(&tasks(&stack, &["dance"]), 2);
    let nowhere = Port::reserve();
    let url = format!("http://{}", nowhere.address());
    let process = ProcessBuilder::lab(["tasks", "list", "--url", &url]).start();
    ended(&process, 1);
    assert!(process.stderr().contains(&nowhere.address()), "{}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_is_json_on_every_line() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let sent = tasks(&stack, &["send", "--json", "!chunks 3"]);
    ended(&sent, 0);
    let events = json_lines(&sent);
    let task = id(&events[0]["task"]);
    assert_eq!(events.iter().filter(|event| event["artifactUpdate"].is_object()).count(), 3);
    let got = tasks(&stack, &["get", "--json", &task]);
    ended(&got, 0);
    assert_eq!(json_lines(&got)[0]["id"].as_str(), Some(task.as_str()));
    let listed = tasks(&stack, &["list", "--json"]);
    ended(&listed, 0);
    assert_eq!(json_lines(&listed)[0]["tasks"][0]["id"].as_str(), Some(task.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_shown_watched_and_canceled() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let client = stack.client();
    let (asking, running) =
        (id(&send(&client, "!ask what?").await), id(&start(&client, "!hang").await));
    wait_for_state(&client, &running, "WORKING").await;
    let listed = ended(&tasks(&stack, &["list"]), 0);
    assert!(listed.contains(&asking) && listed.contains(&running), "{listed}");
    let listed = ended(&tasks(&stack, &["list", "--state", "input-required"]), 0);
    assert!(listed.contains(&asking) && !listed.contains(&running), "{listed}");
    let shown = ended(&tasks(&stack, &["get", &asking, "--history", "5"]), 0);
    assert!(
        shown.contains("input-required") && shown.contains("what?") && shown.contains("!ask what?"),
        "{shown}"
    );

    let watching = tasks(&stack, &["watch", &running]);
    eventually(TASK_TIMEOUT, "the watch shows the task", async || {
        if watching.stdout().contains("working") { Ok(()) } else { Err(watching.stdout()) }
    })
    .await;
    let canceled = ended(&tasks(&stack, &["cancel", &running]), 0);
    assert!(canceled.contains("canceled"), "{canceled}");
    assert!(ended(&watching, 4).contains("canceled"));
    ended(&tasks(&stack, &["cancel", &running]), 1);

    let answered = ended(&tasks(&stack, &["send", "--task", &asking, "this"]), 0);
    assert!(answered.contains("completed"), "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_and_saved() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let (file, out) = (stack.folder().join("in.txt"), stack.folder().join("out"));
    fs::write(&file, "the content of a file").expect("our folder is writable");
    let (file, folder) = (file.display().to_string(), out.display().to_string());
    ended(&tasks(&stack, &["send", "--agent", "echo", "--file", &file, "--output", &folder]), 0);
    let saved: Vec<String> = fs::read_dir(&out)
        .expect("the folder was made")
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()).unwrap_or_default())
        .collect();
    assert_eq!(saved, ["the content of a file"]);
}

#[test]
fn a_configuration_is_checked_and_shown_without_secrets() {
    let folder = tempfile::TempDir::new().expect("the temporary folder is writable");
    let check = |toml: &str, env: &[(&str, &str)], arguments: &[&str]| {
        fs::write(folder.path().join("longhaul.toml"), toml).expect("our folder is writable");
        let arguments: Vec<&str> = ["config", "check"].iter().chain(arguments).copied().collect();
        let launch = ProcessBuilder::lab(arguments).current_dir(folder.path());
        let process =
            env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start();
        let exit = process.wait_exit(TASK_TIMEOUT);
        (exit, process.stdout(), process.stderr())
    };
    for (toml, env, arguments, says) in [
        (
            "[worker]\nlese = \"15s\"\n",
            &[][..],
            &[][..],
            &["worker.lese", "longhaul.toml", "worker.lease"][..],
        ),
        ("[worker]\nlease = \"soon\"\n", &[], &[], &["worker.lease", "longhaul.toml"]),
        ("[wroker]\n", &[], &[], &["wroker"]),
        ("not toml", &[], &[], &["longhaul.toml"]),
        ("[[agent]]\nname = \"x\"\n", &[], &[], &["agent[0].executor"]),
        ("", &[("LONGHAUL_WORKER_LEASE", "soon")], &[], &["LONGHAUL_WORKER_LEASE"]),
        ("", &[("LONGHAUL_WORKR_LEASE", "15s")], &[], &["LONGHAUL_WORKR_LEASE"]),
        ("", &[], &["--set", "worker.lease=soon"], &["worker.lease", "--set"]),
        ("", &[], &["--set", "worker.nothing=1"], &["worker.nothing"]),
    ] {
        let (exit, _, stderr) = check(toml, env, arguments);
        assert_eq!(exit, ProcessExit::Code(2), "{toml} {env:?} {arguments:?}");
        for word in says {
            assert!(stderr.contains(word), "{word} is not in {stderr}");
        }
    }
    let secret = [
        ("LONGHAUL_DATABASE_URL", "postgres://me:hunter2@db/x"),
        ("LONGHAUL_AMQP_URL", "amqp://me:hunter3@mq/%2f"),
    ];
    let (exit, stdout, stderr) =
        check("[worker]\nlease = \"7s\"\n", &secret, &["--set", "log.format=json"]);
    assert_eq!(exit, ProcessExit::Code(0), "{stderr}");
    assert!(stdout.contains("7s") && stdout.contains("json"), "{stdout}");
    assert!(!stdout.contains("hunter"), "{stdout}");
}

#[test]
fn a_second_migration_changes_nothing() {
    let database = Database::create();
    let migrate = || {
        let launch = ProcessBuilder::lab(["migrate"]).env("LONGHAUL_DATABASE_URL", database.url());
        expect_success(&launch.start());
    };
    migrate();
    let tables = "select string_agg(table_name, ',' order by table_name) from information_schema.tables where table_schema = 'public'";
    let before = database.sql(tables);
    assert!(before.contains("tasks") && before.contains("runs"), "{before}");
    migrate();
    assert_eq!(database.sql(tables), before);
    // Two run concurrently, like two deployments.
    let fresh = Database::create();
    let both: Vec<TestProcess> = (0..2)
        .map(|_| ProcessBuilder::lab(["migrate", "--database-url", &fresh.url()]).start())
        .collect();
    for process in &both {
        expect_success(process);
    }
    assert_eq!(fresh.sql(tables), before);
}

#[test]
fn keys_are_created_listed_and_revoked() {
    let database = Database::create();
    let run = |arguments: &[&str]| {
        let launch = ProcessBuilder::lab(arguments).env("LONGHAUL_DATABASE_URL", database.url());
        expect_success(&launch.start())
    };
    run(&["migrate"]);
    let key =
        run(&["keys", "create", "--owner", "acme", "--scope", "read", "--label", "build server"]);
    let key = key.trim();
    assert_eq!(key.lines().count(), 1, "the key alone, so that a script can take it: {key}");
    let key_id = key.split('_').nth(1).expect("a key holds its id");
    let secret = key.rsplit('_').next().expect("a key has a secret");
    let listed = run(&["keys", "list"]);
    for word in [key_id, "acme", "read", "build server"] {
        assert!(listed.contains(word), "{word} is not in {listed}");
    }
    assert!(!listed.contains(secret), "{listed}");
    let stored = database.sql("select api_keys::text from api_keys");
    assert!(!stored.contains(secret), "only a hash is stored");
    let json: Value = serde_json::from_str(&run(&["keys", "list", "--owner", "acme", "--json"]))
        .expect("it is JSON");
    assert!(json.to_string().contains(key_id), "{json}");
    run(&["keys", "revoke", key_id]);
    let again = ProcessBuilder::lab(["keys", "revoke", "000000000000"])
        .env("LONGHAUL_DATABASE_URL", database.url())
        .start();
    assert_eq!(again.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{}", again.stderr());
    assert!(again.stderr().contains("000000000000"), "{}", again.stderr());
}

#[test]
fn the_version_and_help_are_printed() {
    let version = expect_success(&ProcessBuilder::lab(["version"]).start());
    assert!(version.starts_with("longhaul ") && version.contains("A2A 1.0"), "{version}");
    for flag in ["--version", "-V"] {
        assert_eq!(expect_success(&ProcessBuilder::lab([flag]).start()), version, "{flag}");
    }
    let help = expect_success(&ProcessBuilder::lab(["--help"]).start());
    for command in ["dev", "api", "worker", "migrate", "config", "keys", "tasks"] {
        assert!(help.contains(command), "{command} is not in {help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curl_line_that_dev_prints_works() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let printed = stack.nodes()[0].running().stdout() + &stack.nodes()[0].running().stderr();
    assert!(printed.contains("/.well-known/agent-card.json"), "the card's address: {printed}");
    let line = printed.lines().find_map(|line| line.find("curl ").map(|at| &line[at..]));
    let line = line.unwrap_or_else(|| panic!("no curl line: {printed}"));
    let pasted = ProcessBuilder::program("sh", ["-c", line]).start();
    let answer = expect_success(&pasted);
    let json: Value = serde_json::from_str(answer.trim())
        .unwrap_or_else(|error| panic!("no JSON ({error}): {answer}"));
    assert_eq!(json["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let stack = StackBuilder::new(Mode::Embedded).start().await;
    let (address, data) =
        (stack.nodes()[0].address(), stack.folder().join("other").display().to_string());
    let second = stack.command(&["dev", "--listen", &address, "--data", &data]).start();
    assert_eq!(second.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{}", second.stderr());
    let number = address.rsplit(':').next().expect("an address has a port");
    assert!(second.stderr().contains(number), "{}", second.stderr());
    assert!(!second.stderr().contains("panicked"), "{}", second.stderr());
}
