//! Tests of `[[agent]]`.

use super::*;

#[test]
fn run_settings_of_an_agent_are_read_and_listed() {
    let file = r#"
[[agent]]
name = "a"
executor = "echo"
no_progress_timeout = "2m"
queue_timeout = "1h"
total_timeout = "7d"
pin_version = true
retry = { initial = "500ms", factor = 3, max = "5m" }
[agent.limits]
running = 8
running_per_owner = 4
running_per_key = 1
queued = 1000
queued_per_owner = 100
"#;
    let settings = load(file, &[], &[]).unwrap();
    let agent = &settings.agent[0];
    assert_eq!(agent.no_progress_timeout, Some(HumanDuration::seconds(120)));
    assert_eq!(agent.total_timeout, Some(HumanDuration::seconds(7 * 86_400)));
    assert!(agent.pin_version);
    assert_eq!((agent.retry.initial, agent.retry.factor), (HumanDuration::millis(500), 3.0));
    assert_eq!((agent.limits.running_per_key, agent.limits.queued), (Some(1), Some(1_000)));
    assert_eq!(load(&settings.to_redacted_toml(), &[], &[]).unwrap(), settings);
    let keys = keys();
    let default = |path: &str| {
        keys.iter().find(|key| key.path == path).unwrap_or_else(|| panic!("{path}")).default.clone()
    };
    assert_eq!(default("agent[].retry.factor").as_deref(), Some("2.0"));
    assert_eq!(default("agent[].retry.max").as_deref(), Some("\"1m\""));
    assert_eq!(default("agent[].limits.running_per_key"), None);
    assert_eq!(default("agent[].pin_version").as_deref(), Some("false"));
}

#[test]
fn bad_run_settings_of_an_agent_are_rejected_with_key_and_line() {
    for (line, parts) in [
        ("no_progress_timeout = 0", &["agent[0].no_progress_timeout", "above zero"][..]),
        ("queue_timeout = \"0s\"", &["agent[0].queue_timeout", "toml:4", "above zero"]),
        ("total_timeout = \"soon\"", &["agent[0].total_timeout", "toml:4", "500ms"]),
        ("pin_version = \"yes\"", &["agent[0].pin_version", "true or false"]),
        ("retry = 3", &["agent[0].retry", "is not a table"]),
        ("retry = { factor = 0.5 }", &["agent[0].retry.factor", "from 1 to 100"]),
        ("retry = { factor = nan }", &["agent[0].retry.factor", "from 1 to 100"]),
        ("retry = { factor = \"two\" }", &["agent[0].retry.factor", "a number"]),
        ("retry = { initial = 0 }", &["agent[0].retry.initial", "above zero"]),
        ("retry = { max = \"0s\" }", &["agent[0].retry.max", "above zero"]),
        ("retry = { inital = 1 }", &["did you mean agent[0].retry.initial?"]),
        ("limits = { running = 0 }", &["agent[0].limits.running", "toml:4", "from 1"]),
        ("limits = { running_per_owner = 0 }", &["agent[0].limits.running_per_owner"]),
        ("limits = { running_per_key = -1 }", &["agent[0].limits.running_per_key", "whole number"]),
        ("limits = { queued = 0 }", &["agent[0].limits.queued", "from 1"]),
        ("limits = { queued_per_owner = 0 }", &["agent[0].limits.queued_per_owner"]),
    ] {
        let file = format!("[[agent]]\nname = \"a\"\nexecutor = \"echo\"\n{line}");
        refused(load(&file, &[], &[]), parts);
    }
}

#[test]
fn extensions_of_an_agent_are_read_with_any_parameters() {
    let file = r#"
[[agent]]
name = "a"
executor = "echo"
[[agent.skill]]
id = "s"
name = "S"
extended = true
[[agent.extension]]
uri = "https://a.example/place/v1"
required = true
params = { units = ["m"], deep = { since = 2030-01-31, most = 1.5 } }
[[agent.extension]]
uri = "urn:plain:v1"
"#;
    let settings = load(file, &[], &[]).unwrap();
    let agent = &settings.agent[0];
    assert!(agent.skill[0].extended && agent.extension[0].required);
    let params = agent.extension[0].params.as_ref().unwrap().to_json().unwrap();
    let expected = r#"{"deep":{"most":1.5,"since":"2030-01-31"},"units":["m"]}"#;
    assert_eq!(params.to_string(), expected);
    assert_eq!((agent.extension[1].required, &agent.extension[1].params), (false, &None));
    assert_eq!(load(&settings.to_redacted_toml(), &[], &[]).unwrap(), settings);
}

#[test]
fn a_bad_extension_is_rejected_with_key_and_line() {
    for (lines, parts) in [
        ("required = true", &["agent[0].extension[0].uri", "without spaces"][..]),
        ("uri = \"a, b\"", &["agent[0].extension[0].uri", "toml:5", "commas"]),
        ("uri = \"urn:longhaul:a2a:resume:v1\"", &["extension[0].uri", "every agent has"]),
        ("uri = \"u\"\nparams = 1", &["agent[0].extension[0].params", "toml:6", "a table"]),
        ("uri = \"u\"\nparams = { a = nan }", &["extension[0].params", "JSON"]),
        ("uri = \"u\"\n[[agent.extension]]\nuri = \"u\"", &["extension[1].uri", "another"]),
        ("uri = \"u\"\nmust = 1", &["agent[0].extension[0].must", "unknown key"]),
    ] {
        let agent = "[[agent]]\nname = \"a\"\nexecutor = \"echo\"\n[[agent.extension]]\n";
        refused(load(&format!("{agent}{lines}"), &[], &[]), parts);
    }
}
