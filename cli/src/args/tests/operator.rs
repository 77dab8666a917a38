//! Flags of operator commands and of the durability extension.

use super::*;
use longhaul_domain::FailureKind;

fn parse_redrive(line: &[&str]) -> RedriveDeadArgs {
    match parse(&[&["dead", "redrive"], line].concat()) {
        Command::Dead(DeadCommand::Redrive(args)) => args,
        _ => panic!("it is dead redrive"),
    }
}

fn parse_send(line: &[&str]) -> DurabilityArgs {
    match parse(&[&["tasks", "send", "a"], line].concat()) {
        Command::Tasks(TasksCommand::Send(args)) => args.durability,
        _ => panic!("it is tasks send"),
    }
}

#[test]
fn dead_tasks_are_listed_by_criteria() {
    let Command::Dead(DeadCommand::List(args)) = parse(&[
        "dead",
        "list",
        "--because",
        "QUEUE_TIMEOUT",
        "--from",
        "24h",
        "--cause",
        "x",
        "--handled",
    ]) else {
        panic!("it is dead list")
    };
    assert_eq!(args.filter.because, Some(FailureKind::QueueTimeout));
    assert!(args.handled && args.filter.has_criteria() && args.filter.owner.is_none());
    assert_eq!((args.limit, args.all), (20, false));
    assert_eq!(parse_error(&["dead", "list", "--because", "bad luck"]), ErrorKind::ValueValidation);
    assert_eq!(parse_error(&["dead", "list", "--from", "yesterday"]), ErrorKind::ValueValidation);
    assert_eq!(parse_error(&["dead", "list", "--limit", "0"]), ErrorKind::ValueValidation);
    assert_eq!(
        parse_error(&["dead", "list", "--limit", "5", "--all"]),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn dead_tasks_are_redriven_by_id_or_all_of_them() {
    assert_eq!(parse_redrive(&["t1", "t2", "--owner", "acme"]).tasks, ["t1", "t2"]);
    let all = parse_redrive(&["--all", "--agent", "a", "--limit", "5", "-y"]);
    assert!(all.all && all.yes && all.limit == Some(5));
    assert_eq!(parse_error(&["dead", "redrive"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        parse_error(&["dead", "redrive", "--agent", "a"]),
        ErrorKind::MissingRequiredArgument
    );
    assert_eq!(parse_error(&["dead", "redrive", "t1", "--all"]), ErrorKind::ArgumentConflict);
    assert_eq!(
        parse_error(&["dead", "redrive", "t1", "--limit", "5"]),
        ErrorKind::ArgumentConflict
    );
    assert_eq!(parse_error(&["dead", "dismiss"]), ErrorKind::MissingRequiredArgument);
}

#[test]
fn the_default_owner_of_a_task_or_schedule_is_local() {
    let Command::Dead(DeadCommand::Show(dead)) = parse(&["dead", "show", "t1"]) else {
        panic!("it is dead show")
    };
    let Command::Schedule(ScheduleCommand::Pause(schedule)) =
        parse(&["schedule", "pause", "nightly", "--owner", "acme"])
    else {
        panic!("it is schedule pause")
    };
    assert_eq!((dead.owner.as_str(), schedule.owner.as_str()), (LOCAL_OWNER, "acme"));
}

#[test]
fn a_schedule_needs_time_agent_and_content() {
    let line = ["schedule", "put", "nightly", "--agent", "a", "--cron", "0 3 * * *"];
    let with = |more: &[&'static str]| [line.as_slice(), more].concat();
    let Command::Schedule(ScheduleCommand::Put(args)) = parse(&with(&["--text", "go"])) else {
        panic!("it is schedule put")
    };
    assert_eq!(
        (args.time_zone.as_str(), args.missed, args.paused),
        ("UTC", MissedFiringsArg::Once, false)
    );
    assert_eq!(parse_error(&with(&[])), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        parse_error(&with(&["--text", "go", "--message-file", "a.json"])),
        ErrorKind::ArgumentConflict
    );
    assert_eq!(parse_error(&with(&["--text", "go", "--missed", "some"])), ErrorKind::InvalidValue);
    assert_eq!(
        parse_error(&["schedule", "put", "nightly", "--agent", "a", "--text", "go"]),
        ErrorKind::MissingRequiredArgument
    );
}

#[test]
fn a_send_takes_options_of_the_durability_extension() {
    let flags = parse_send(&[
        "--priority",
        "-5",
        "--max-attempts",
        "7",
        "--timeout",
        "90s",
        "--deadline",
        "2h",
    ]);
    assert_eq!((flags.priority, flags.max_attempts), (Some(-5), Some(7)));
    assert_eq!(flags.timeout.map(|timeout| timeout.as_secs()), Some(90));
    assert_eq!(flags.deadline, Some("2h".parse().unwrap()));
    for bad in [
        ["--priority", "101"],
        ["--priority", "high"],
        ["--max-attempts", "0"],
        ["--timeout", "0s"],
        ["--queue-timeout", "soon"],
        ["--not-before", "tomorrow"],
    ] {
        let line = [["tasks", "send", "a"].as_slice(), &bad].concat();
        assert_eq!(parse_error(&line), ErrorKind::ValueValidation, "{bad:?}");
    }
}
