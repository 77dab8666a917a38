//! Tests of loading, merging and checking settings.

use std::{path::PathBuf, time::Duration};

use super::*;

mod agents;
mod cards;
mod variables;
mod web;

/// Loads settings from a file of this text, with pairs of variables and flags.
fn load(
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longhaul.toml");
    std::fs::write(&path, file).unwrap();
    Settings::load(sources(Some(path), env, flags))
}

fn sources(
    file: Option<PathBuf>,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> SettingSources<std::vec::IntoIter<(String, String)>> {
    let owned: Vec<_> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let overrides = flags
        .iter()
        .map(|(key, value)| SettingOverride {
            key: (*key).into(),
            value: (*value).into(),
            flag: "--the-flag".into(),
        })
        .collect();
    SettingSources { file, fallback_file: None, env: owned.into_iter(), overrides }
}

/// Asserts that the settings are rejected with an error that contains all `parts`.
#[track_caller]
fn refused(result: Result<Settings, SettingsError>, parts: &[&str]) {
    let message = result.expect_err("the settings must be rejected").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

const FULL: &str = r#"
[server]
listen = "0.0.0.0:9000"
keep_alive = 20
longest_wait = "2m"
[database]
url = "postgres://longhaul:hunter2@db/longhaul"
[worker]
agents = ["documents"]
[[agent]]
name = "documents"
executor = "process"
concurrency = 4
[[agent.skill]]
id = "chunk"
name = "Chunk a document"
[agent.process]
command = ["bin/plugin", "--fast"]
working_dir = "work"
env = { TOKEN = "hunter3" }
mode = "keep"
"#;

#[test]
fn without_any_source_settings_are_the_defaults() {
    let settings = load("", &[], &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.worker.lease.get(), Duration::from_secs(15));
    assert_eq!(settings.server.max_body_bytes, 10_485_760);
    assert_eq!(settings.auth.mode, None);
    assert_eq!(settings.validate(), Ok(()));
}

#[test]
fn a_file_sets_sections_and_agents() {
    let settings = load(FULL, &[], &[]).unwrap();
    assert_eq!(*settings.server.keep_alive, Duration::from_secs(20));
    assert_eq!(settings.server.longest_wait, Some(HumanDuration::seconds(120)));
    let agent = &settings.agent[0];
    assert_eq!((&agent.executor, agent.concurrency), (&ExecutorName::PROCESS, Some(4)));
    assert_eq!(agent.skill[0].id, "chunk");
    let process = agent.process.as_ref().unwrap();
    assert_eq!(process.mode, ProcessMode::Keep);
    assert_eq!(process.env["TOKEN"].expose(), "hunter3");
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = "[log]\nfilter = \"warn\"\nformat = \"json\"\n[worker]\nconcurrency = 2";
    let env = [("LONGHAUL_LOG_FILTER", "debug"), ("LONGHAUL_WORKER_CONCURRENCY", "3")];
    let settings = load(file, &env, &[("log.filter", "trace")]).unwrap();
    assert_eq!(settings.log.filter, "trace");
    assert_eq!(settings.worker.concurrency, 3);
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn every_scalar_key_has_a_variable_that_sets_it() {
    let value = |key: &SettingKey| match key.path.as_str() {
        "server.listen" | "worker.listen" => "127.0.0.1:7",
        "server.public_url"
        | "server.cors_origins"
        | "cards.jku"
        | "cards.documentation_url"
        | "cards.icon_url" => "https://a.example",
        "database.url" => "postgres://db/a",
        "amqp.url" => "amqp://broker",
        "server.trusted_proxies" => "10.0.0.0/8",
        "auth.mode" => "keys",
        "log.format" => "json",
        "cards.grpc" | "cards.extended" => "off",
        _ if key.allowed.starts_with("true") => "true",
        _ if key.allowed.starts_with("a whole number") => "7",
        _ if key.allowed.starts_with("a length") => "7s",
        _ => "seven",
    };
    // `provider` and `provider_url` require each other.
    let alone = |key: &&SettingKey| !key.path.starts_with("cards.provider");
    for key in keys().iter().filter(alone).filter(|key| !key.path.starts_with("agent")) {
        let variable = key.env.as_deref().unwrap_or_else(|| panic!("{} has no variable", key.path));
        let settings =
            load("", &[(variable, value(key))], &[]).unwrap_or_else(|error| panic!("{error}"));
        let default_stays = [
            "server.assume_version",
            "server.attach_repeats",
            "server.streaming",
            "a2a.serve_0_3",
            "a2a.serve_0_1",
        ]
        .contains(&key.path.as_str());
        assert_eq!(settings == Settings::default(), default_stays, "{variable}");
    }
}

#[test]
fn empty_variables_and_those_of_other_programs_are_ignored() {
    let env = [
        ("LONGHAUL_SERVER_LISTEN", ""),
        ("LONGHAUL_TEST_ANYTHING", "1"),
        ("LONGHAUL_URL", "http://a"),
        ("LONGHAUL_API_KEY", "k"),
        ("PATH", "/bin"),
    ];
    assert_eq!(load("", &env, &[]).unwrap(), Settings::default());
}

#[test]
fn the_environment_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    std::fs::write(&path, "[log]\nfilter = \"warn\"").unwrap();
    let env = [("LONGHAUL_CONFIG", path.to_str().unwrap())];
    assert_eq!(Settings::load(sources(None, &env, &[])).unwrap().log.filter, "warn");
    let missing = folder.path().join("none.toml");
    refused(Settings::load(sources(Some(missing), &env, &[])), &["none.toml", "cannot be read"]);
}

#[test]
fn a_fallback_file_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let fallback_file = Some(folder.path().join("longhaul.toml"));
    let settings =
        Settings::load(SettingSources { fallback_file, ..sources(None, &[], &[]) }).unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn paths_of_programs_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longhaul.toml");
    std::fs::write(&path, FULL).unwrap();
    let settings = Settings::load(sources(Some(path.clone()), &[], &[])).unwrap();
    let process = settings.agent[0].process.as_ref().unwrap();
    assert_eq!(process.command, [folder.path().join("bin/plugin").to_str().unwrap(), "--fast"]);
    assert_eq!(process.working_dir.as_deref(), Some(folder.path().join("work").as_path()));

    std::fs::write(&path, FULL.replace("bin/plugin", "python3")).unwrap();
    let settings = Settings::load(sources(Some(path), &[], &[])).unwrap();
    assert_eq!(
        settings.agent[0].process.as_ref().unwrap().command[0],
        "python3",
        "searched in PATH"
    );
}

#[test]
fn an_executor_that_the_program_has_registered_may_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longhaul.toml");
    std::fs::write(&file, "[[agent]]\nname = \"a\"\nexecutor = \"magic\"").unwrap();
    let settings = Settings::load_with(sources(Some(file.clone()), &[], &[]), &["magic"]).unwrap();
    assert_eq!(settings.agent[0].executor, ExecutorName::new("magic"));
    let other = Settings::load_with(sources(Some(file), &[], &[]), &["other"]);
    refused(other, &["agent[0].executor", "toml:3", "\"process\", \"other\""]);
}

#[test]
fn a_bad_file_is_rejected_with_key_line_and_allowed_values() {
    let agent = |rest: &str| format!("[[agent]]\nname = \"a\"\nexecutor = \"echo\"\n{rest}");
    for (file, parts) in [
        (
            "[server]\nlisten = \"nowhere\"",
            &["server.listen", "longhaul.toml:2", "127.0.0.1:8080"][..],
        ),
        (
            "[server]\nlisen = \"a\"",
            &["server.lisen", "longhaul.toml:2", "did you mean server.listen?"],
        ),
        ("[sever]\nlisten = \"a\"", &["sever", "longhaul.toml:1", "did you mean server?"]),
        ("concurrency = 3", &["concurrency", "did you mean worker.concurrency?"]),
        ("server = 5", &["server", "is not a table", "[server]"]),
        ("[agent]\nname = \"a\"", &["agent", "[[agent]]"]),
        ("[server]\nkeep_alive = \"soon\"", &["server.keep_alive", "toml:2", "500ms"]),
        ("[server]\nkeep_alive = -1", &["server.keep_alive", "500ms"]),
        ("[server]\nkeep_alive = 0", &["server.keep_alive", "toml:2", "above zero"]),
        ("[worker]\nconcurrency = \"many\"", &["worker.concurrency", "toml:2", "a whole number"]),
        ("[worker]\nconcurrency = 0", &["worker.concurrency", "toml:2", "from 1"]),
        ("[worker]\nconcurrency = 99999999999", &["worker.concurrency", "toml:2"]),
        ("[worker]\nlease = \"10ms\"", &["worker.lease", "1s"]),
        ("[worker]\nmax_losses = 0", &["worker.max_losses", "toml:2", "from 1"]),
        ("[server]\nmax_queued = 0", &["server.max_queued", "toml:2", "from 1"]),
        ("[server]\nmax_queued_per_owner = 0", &["server.max_queued_per_owner", "from 1"]),
        ("[worker]\nagents = [\"A\"]", &["worker.agents[0]", "toml:2", "lower-case"]),
        ("[auth]\nmode = \"maybe\"", &["auth.mode", "toml:2", "\"none\", \"keys\""]),
        ("[log]\nfilter = \"longhaul=loudly\"", &["log.filter", "toml:2", "info"]),
        ("[amqp]\nprefix = \"a b\"", &["amqp.prefix", "toml:2"]),
        ("[server]\npublic_url = \"ftp://a\"", &["server.public_url", "http://"]),
        ("[server]\ndefault_agent = \"No\"", &["server.default_agent", "lower-case"]),
        ("[server\nlisten", &["longhaul.toml:1", "not valid TOML"]),
        ("[log]\nfilter = \"a\"\nfilter = \"b\"", &["longhaul.toml:3", "not valid TOML"]),
        (&agent("color = 1"), &["agent[0].color", "toml:4"]),
        (&agent("max_attempts = 0"), &["agent[0].max_attempts", "toml:4"]),
        (&agent("timeout = \"0s\""), &["agent[0].timeout"]),
        (&agent("concurrency = 0"), &["agent[0].concurrency"]),
        (&agent("version = \"\""), &["agent[0].version"]),
        (&agent("process = { command = [\"a\"] }"), &["agent[0].process", "only with executor"]),
        (&agent("[[agent.skill]]\nname = \"a\""), &["agent[0].skill[0].id", "missing"]),
        (&agent("[[agent.skill]]\nid = \"a\""), &["agent[0].skill[0].name", "missing"]),
        (
            &agent("[[agent.skill]]\nid = \"a\"\nname = \"a\"\ntag = 1"),
            &["did you mean agent[0].skill[0].tags?"],
        ),
        (
            &agent("[[agent]]\nname = \"a\"\nexecutor = \"echo\""),
            &["agent[1].name", "another agent", "toml:5"],
        ),
        ("[[agent]]\nexecutor = \"echo\"", &["agent[0].name", "missing"]),
        ("[[agent]]\nname = \"a\"", &["agent[0].executor", "missing", "\"process\""]),
        (
            "[[agent]]\nname = \"a\"\nexecutor = \"magic\"",
            &["agent[0].executor", "\"echo\"", "toml:3"],
        ),
        ("[[agent]]\nname = \"a\"\nexecutor = \"process\"", &["agent[0].process", "command"]),
        (
            "[[agent]]\nname = \"a\"\nexecutor = \"process\"\n[agent.process]",
            &["agent[0].process.command"],
        ),
    ] {
        refused(load(file, &[], &[]), parts);
    }
}

#[test]
fn names_that_cannot_be_addressed_are_rejected() {
    let long = "a".repeat(64);
    for name in [
        "v1",
        "agents",
        "a2a",
        "tasks",
        "message",
        "extendedAgentCard",
        "operator",
        "healthz",
        "readyz",
        "well-known",
        "-a",
        "A",
        "a_b",
        "a/b",
        "",
        &long,
    ] {
        let file = format!("[[agent]]\nname = \"{name}\"\nexecutor = \"echo\"");
        refused(load(&file, &[], &[]), &["agent[0].name", "longhaul.toml:2"]);
    }
    for name in ["a", "0", "documents-2", &"a".repeat(63)] {
        assert!(
            load(&format!("[[agent]]\nname = \"{name}\"\nexecutor = \"echo\""), &[], &[]).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn localhost_is_a_listen_address_in_every_source() {
    let listens = |settings: Result<Settings, SettingsError>| {
        let settings = settings.unwrap();
        (settings.server.listen.to_string(), settings.worker.listen.map(|at| at.to_string()))
    };
    let expected = "127.0.0.1:9000".to_owned();
    let text = "[server]\nlisten = \"localhost:9000\"\n[worker]\nlisten = \"localhost:9000\"";
    assert_eq!(listens(load(text, &[], &[])), (expected.clone(), Some(expected.clone())));
    let variable = [("LONGHAUL_SERVER_LISTEN", "localhost:9000")];
    assert_eq!(listens(load("", &variable, &[])).0, expected);
    assert_eq!(listens(load("", &[], &[("server.listen", "localhost:9000")])).0, expected);
    refused(load("", &[], &[("server.listen", "localhost")]), &["server.listen"]);
}

#[test]
fn a_bad_flag_is_rejected_by_its_name() {
    refused(load("", &[], &[("server.listen", "here")]), &["server.listen", "flag --the-flag"]);
    refused(
        load("", &[], &[("worker.concurrency", "x")]),
        &["worker.concurrency", "flag --the-flag"],
    );
    for unknown in ["no.such", "server", "agent.name", "server.listen.more"] {
        refused(load("", &[], &[(unknown, "x")]), &[unknown, "flag --the-flag", "unknown key"]);
    }
}

#[test]
fn no_error_shows_a_secret() {
    for (file, env) in [
        ("[database]\nurl = \"mysql://u:hunter2@db\"", None),
        ("[database]\nurl = \"postgres://u:hunter2@db", None),
        ("[database]\nurl = [\"hunter2\"]", None),
        ("[amqp]\nurl = { hunter2 = \"hunter2\" }", None),
        ("", Some(("LONGHAUL_AMQP_URL", "hunter2"))),
        ("", Some(("LONGHAUL_AMQP_PASSWORD", "hunter2"))),
        (
            "[[agent]]\nname = \"a\"\nexecutor = \"process\"\nprocess = { command = [\"a\"], env = { A = [\"hunter2\"] } }",
            None,
        ),
    ] {
        let error = load(file, env.as_slice(), &[]).expect_err("must be refused");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn the_redacted_settings_are_a_valid_configuration_without_secrets() {
    let settings = load(FULL, &[("LONGHAUL_AMQP_URL", "amqp://u:hunter4@broker")], &[]).unwrap();
    let text = settings.to_redacted_toml();
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("postgres://longhaul:[redacted]@db/longhaul"), "{text}");
    let again = load(&text, &[], &[]).unwrap();
    assert_eq!(again.server, settings.server);
    assert_eq!(again.agent[0].skill, settings.agent[0].skill);
    assert!(!format!("{settings:?}").contains("hunter"));
}

#[test]
fn without_authentication_only_loopback_is_allowed() {
    let exposed = load("[server]\nlisten = \"0.0.0.0:8080\"", &[], &[]).unwrap();
    let error = exposed.auth_mode(AuthMode::None).unwrap_err();
    assert_eq!(error.key(), "server.listen");
    assert!(error.to_string().contains("allow_unauthenticated"));
    assert_eq!(exposed.auth_mode(AuthMode::Keys), Ok(AuthMode::Keys));

    let allowed =
        load("[server]\nlisten = \"0.0.0.0:8080\"\nallow_unauthenticated = true", &[], &[])
            .unwrap();
    assert_eq!(allowed.auth_mode(AuthMode::None), Ok(AuthMode::None));
    assert_eq!(Settings::default().auth_mode(AuthMode::None), Ok(AuthMode::None));
    let set = load("[auth]\nmode = \"keys\"", &[], &[]).unwrap();
    assert_eq!(set.auth_mode(AuthMode::None), Ok(AuthMode::Keys));
}

#[test]
fn the_key_list_is_complete_and_documented() {
    let keys = keys();
    let find =
        |path: &str| keys.iter().find(|key| key.path == path).unwrap_or_else(|| panic!("{path}"));
    assert!(keys.iter().all(|key| !key.doc.is_empty() && !key.allowed.is_empty()));
    assert_eq!(find("database.url").env.as_deref(), Some("LONGHAUL_DATABASE_URL"));
    assert_eq!(find("server.listen").default.as_deref(), Some("\"127.0.0.1:8080\""));
    assert_eq!(find("worker.lease").default.as_deref(), Some("\"15s\""));
    assert_eq!(find("agent[].executor").default, None);
    assert_eq!(find("agent[].process.max_inflight").default.as_deref(), Some("16"));
    assert_eq!(find("agent[].skill[].tags").env, None);
}
