use super::*;

mod operator;

use clap::{CommandFactory, error::ErrorKind};
use longhaul_domain::{Scope, TaskState};
use longhaul_runtime::{
    Settings,
    settings::{AuthMode, SettingOverride, SettingSources},
};

fn parse(line: &[&str]) -> Command {
    Cli::try_parse_from(std::iter::once(&"longhaul").chain(line)).unwrap().command
}

fn parse_error(line: &[&str]) -> ErrorKind {
    Cli::try_parse_from(std::iter::once(&"longhaul").chain(line)).unwrap_err().kind()
}

fn load(overrides: Vec<SettingOverride>) -> Result<Settings, String> {
    let sources =
        SettingSources { file: None, fallback_file: None, env: std::iter::empty(), overrides };
    Settings::load(sources).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help_with_examples() {
    fn visit(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.get_name() == "help" {
            return;
        }
        assert!(command.get_about().is_some(), "{path} says what it does");
        let leaf = command.get_subcommands().next().is_none();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(!leaf || path.ends_with("version") || help.contains("Examples:"), "{path}");
        command.get_subcommands().for_each(|inner| visit(inner, &path));
    }
    visit(&Cli::command(), "");
}

#[test]
fn flags_of_dev_become_settings() {
    let Command::Dev(args) = parse(&[
        "dev",
        "--listen",
        "127.0.0.1:9",
        "--data",
        "d",
        "--auth",
        "keys",
        "--concurrency",
        "3",
        "--set",
        "worker.lease=30s",
    ]) else {
        panic!("it is dev")
    };
    let settings = load(args.overrides()).unwrap();
    assert_eq!(settings.server.listen.port(), 9);
    assert_eq!(settings.embedded.data.to_str(), Some("d"));
    assert_eq!(settings.auth.mode, Some(AuthMode::Keys));
    assert_eq!(settings.worker.concurrency, 3);
    assert_eq!(settings.worker.lease.as_secs(), 30);
}

#[test]
fn flags_of_a_worker_become_settings() {
    let Command::Worker(args) = parse(&[
        "worker",
        "--listen",
        "127.0.0.1:9",
        "--agents",
        "a,b",
        "--database-url",
        "postgres://h/d",
        "--amqp-url",
        "amqp://h",
    ]) else {
        panic!("it is worker")
    };
    let settings = load(args.overrides()).unwrap();
    assert_eq!(settings.worker.listen.map(|listen| listen.port()), Some(9));
    assert_eq!(settings.worker.agents, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert!(settings.database.url.is_some() && settings.amqp.url.is_some());
}

#[test]
fn an_invalid_flag_is_reported_with_its_key() {
    let Command::Api(args) = parse(&["api", "--listen", "here"]) else { panic!("it is api") };
    let error = load(args.overrides()).unwrap_err();
    assert!(error.contains("server.listen (flag --listen)"), "{error}");
    let Command::Api(args) = parse(&["api", "--set", "server.lisen=1"]) else {
        panic!("it is api")
    };
    let error = load(args.overrides()).unwrap_err();
    assert!(error.contains("server.lisen (flag --set)"), "{error}");
    assert_eq!(parse_error(&["api", "--set", "nothing"]), ErrorKind::ValueValidation);
}

#[test]
fn a_key_reads_and_writes_by_default() {
    let scopes = |line: &[&str]| match parse(line) {
        Command::Keys(KeysCommand::Create(args)) => args.scope,
        _ => panic!("it is keys create"),
    };
    assert_eq!(scopes(&["keys", "create", "--owner", "a"]), [Scope::Read, Scope::Write]);
    assert_eq!(scopes(&["keys", "create", "--owner", "a", "--scope", "admin"]), [Scope::Admin]);
    assert_eq!(
        scopes(&["keys", "create", "--owner", "a", "--scope", "read,operator"]),
        [Scope::Read, Scope::Operator]
    );
    assert_eq!(
        parse_error(&["keys", "create", "--owner", "a", "--scope", "all"]),
        ErrorKind::ValueValidation
    );
}

#[test]
fn a_send_needs_content() {
    assert_eq!(parse_error(&["tasks", "send"]), ErrorKind::MissingRequiredArgument);
    let Command::Tasks(TasksCommand::Send(args)) = parse(&["tasks", "send", "--file", "a.pdf"])
    else {
        panic!("it is tasks send")
    };
    assert_eq!(args.file, ["a.pdf"]);
    assert_eq!(
        parse_error(&["tasks", "send", "a", "--no-wait", "--no-stream"]),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn states_are_parsed_as_they_are_shown() {
    let state = |text: &str| match parse(&["tasks", "list", "--state", text]) {
        Command::Tasks(TasksCommand::List(args)) => args.state,
        _ => panic!("it is tasks list"),
    };
    assert_eq!(state("input-required"), Some(TaskState::InputRequired));
    assert_eq!(state("INPUT_REQUIRED"), Some(TaskState::InputRequired));
    assert_eq!(parse_error(&["tasks", "list", "--state", "done"]), ErrorKind::ValueValidation);
}

#[test]
fn help_hides_the_api_key() {
    let help = Cli::command()
        .find_subcommand_mut("tasks")
        .unwrap()
        .find_subcommand_mut("get")
        .unwrap()
        .render_long_help()
        .to_string();
    assert!(
        help.contains("LONGHAUL_API_KEY") && !help.contains("[env: LONGHAUL_API_KEY="),
        "{help}"
    );
}
