//! Exit codes and output of commands that need no server.

use std::process::{Command, Output};

/// Runs the command in an empty folder, without settings from outside.
fn longhaul(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGHAUL_"))
    {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied()).current_dir(folder.path());
    command.output().expect("the binary was built with this test")
}

fn refused(arguments: &[&str], variables: &[(&str, &str)], code: i32, named: &[&str]) {
    let output = longhaul(arguments, variables);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    for part in named {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn wrong_usage_and_configuration_end_with_2_and_name_the_cause() {
    refused(&["fly"], &[], 2, &["fly"]);
    refused(&["config", "check", "--set", "worker.lease=x"], &[], 2, &["worker.lease", "--set"]);
    refused(&["config", "check", "--config", "no.toml"], &[], 2, &["no.toml"]);
    refused(&["api"], &[("LONGHAUL_WORKER_LEESE", "1s")], 2, &["LONGHAUL_WORKER_LEESE"]);
    refused(&["api"], &[], 2, &["database.url", "LONGHAUL_DATABASE_URL"]);
    refused(&["worker"], &[("LONGHAUL_DATABASE_URL", "mysql://u:hunter2@h")], 2, &["database.url"]);
    refused(&["migrate"], &[], 2, &["database.url"]);
    refused(&["dev", "--listen", "0.0.0.0:0"], &[], 2, &["server.listen", "allow_unauthenticated"]);
    refused(&["keys", "list"], &[], 2, &["--data", "--database-url"]);
}

#[test]
fn failures_end_with_1() {
    let unreachable = "http://127.0.0.1:1";
    refused(&["tasks", "get", "t", "--url", unreachable], &[], 1, &[unreachable]);
    refused(&["tasks", "send", "hello"], &[("LONGHAUL_URL", unreachable)], 1, &[unreachable]);
}

#[test]
fn settings_in_force_are_printed_without_secrets() {
    let url = ("LONGHAUL_DATABASE_URL", "postgres://u:hunter2@db/longhaul");
    let output = longhaul(&["config", "check", "--set", "worker.lease=30s"], &[url]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(text.contains("lease = \"30s\"") && text.contains("u:[redacted]@db"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_check_reports_problems_of_key_files() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("key.pem").to_str().expect("a path of text").to_owned();
    let setting = format!("cards.signing_keys={file}");
    let public = "server.public_url=https://agents.example";
    let check = ["config", "check", "--set", &setting, "--set", public];
    refused(&check, &[], 2, &["cards.signing_keys[0]", &file, "cannot be read"]);
    assert!(longhaul(&["card", "key", "new", "--out", &file], &[]).status.success());
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let check_output = || {
        let output = longhaul(&check, &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(check_output(), "");
    mode(0o644);
    let warning = check_output();
    assert!(
        warning.contains("cards.signing_keys[0]") && warning.contains("chmod o-r"),
        "{warning}"
    );
    mode(0o666);
    refused(&check, &[], 2, &["cards.signing_keys[0]", "chmod o-w"]);
    refused(
        &["config", "check", "--set", "cards.published_keys=/dev/zero"],
        &[],
        2,
        &["regular file"],
    );
}

#[test]
fn keys_of_a_folder_are_created_listed_and_revoked() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let data = folder.path().to_str().expect("a path of text");
    let run = |arguments: &[&str]| {
        let output = longhaul(&[arguments, &["--data", data]].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let key = run(&["keys", "create", "--owner", "acme", "--label", "build"]);
    let id = key.split('_').nth(1).expect("an id between underscores").to_owned();
    let list = run(&["keys", "list"]);
    assert!(list.contains(&id) && list.contains("valid"), "{list}");
    assert!(!list.contains(key.trim()), "{list}");
    run(&["keys", "revoke", &id]);
    assert!(run(&["keys", "list", "--owner", "acme"]).contains("revoked"));
}
