//! Documentation of commands and settings: it must match the code.

use clap::CommandFactory;
use longhaul_cli::args::Cli;
use longhaul_domain::{bounds, checkpoint, durability, ids, json};
use longhaul_runtime::{
    Settings,
    settings::{SettingSources, keys},
};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).expect("the file is part of the repository")
}

#[test]
fn every_key_is_documented_with_its_variable_and_default() {
    let text = text("docs/configuration.md");
    for key in keys() {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}`", key.path)));
        let row = row.unwrap_or_else(|| panic!("{} is not documented", key.path));
        let default = key.default.map_or("unset".to_owned(), |default| format!("`{default}`"));
        assert!(row.contains(&format!("| {default} |")), "the default of {}: {row}", key.path);
        assert!(key.env.is_none_or(|env| row.contains(&format!("`{env}`"))), "{row}");
    }
}

#[test]
fn every_documented_key_exists() {
    let known: Vec<String> = keys().into_iter().map(|key| key.path).collect();
    for line in text("docs/configuration.md").lines() {
        let Some(name) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let key = name.contains('.') && !name.starts_with("LONGHAUL");
        assert!(!key || known.iter().any(|known| known == name), "{name} does not exist");
    }
}

#[test]
fn the_page_of_limits_names_every_bound() {
    let text = text("docs/limits.md");
    let settings = keys();
    let default = |path: &str| {
        let key = settings.iter().find(|key| key.path == path);
        key.and_then(|key| key.default.clone()).unwrap_or_else(|| panic!("{path} has a default"))
    };
    for (row, figure) in [
        ("| parts |", bounds::MAX_PARTS.to_string()),
        ("| members of objects", bounds::MAX_MEMBERS.to_string()),
        ("| elements of lists", bounds::MAX_ELEMENTS.to_string()),
        ("| elements of lists", format!("counts as {}", bounds::MEMBER_WEIGHT)),
        ("| nesting of objects and lists", format!("{} levels", bounds::MAX_DATA_DEPTH)),
        ("| nesting of the JSON text", format!("{} levels", json::MAX_JSON_DEPTH)),
        ("| bytes in contents of up to 1 KiB", bounds::MAX_ENTRY_INLINE_BYTES.to_string()),
        ("| message, context and artifact ids", ids::MAX_CLIENT_ID_BYTES.to_string()),
        ("| name and idempotency key", durability::MAX_KEY_BYTES.to_string()),
        ("| attempts that a message may ask for", durability::MAX_ATTEMPTS.to_string()),
        ("| value of a checkpoint", format!("{} MiB", checkpoint::MAX_CHECKPOINT_BYTES >> 20)),
        ("| messages with which a run begins", longhaul_worker::MAX_HISTORY_MESSAGES.to_string()),
        ("| messages with which a run begins", longhaul_worker::MAX_HISTORY_BYTES.to_string()),
        ("| body |", default("server.max_body_bytes")),
        ("| messages after the first |", default("server.max_task_messages")),
        ("| bytes of those messages", default("server.max_task_bytes")),
        ("| tasks that wait", default("server.max_queued_per_owner")),
        ("| connections |", default("server.max_connections")),
    ] {
        let found = text.lines().any(|line| line.starts_with(row) && line.contains(&figure));
        assert!(found, "{row} {figure}");
    }
}

#[test]
fn every_command_is_documented() {
    let text = text("docs/commands.md");
    for command in Cli::command().get_subcommands() {
        assert!(
            text.contains(&format!("longhaul {}", command.get_name()))
                || text.contains(&format!("`{}`", command.get_name())),
            "{}",
            command.get_name()
        );
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let name = format!("longhaul {} {}", command.get_name(), inner.get_name());
            assert!(text.contains(&name), "{name}");
        }
    }
}

#[test]
fn the_example_is_valid_with_and_without_its_comments() {
    let load = |path: PathBuf| {
        let sources = SettingSources {
            file: Some(path),
            fallback_file: None,
            env: std::iter::empty(),
            overrides: Vec::new(),
        };
        Settings::load(sources).unwrap()
    };
    assert_eq!(load(file("longhaul.example.toml")).agent.len(), 1);

    let is_toml = |line: &str| {
        let bare = line.strip_prefix("# ").unwrap_or_default();
        bare.starts_with('[') || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let full: Vec<String> = text("longhaul.example.toml")
        .lines()
        .map(|line| if is_toml(line) { line[2..].to_owned() } else { line.to_owned() })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longhaul.toml");
    std::fs::write(&path, full.join("\n")).unwrap();
    let settings = load(path);
    assert_eq!(settings.agent.len(), 2);
    assert!(settings.database.url.is_some() && settings.worker.listen.is_some());
}
