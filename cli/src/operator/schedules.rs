//! `longhaul schedule`.

use crate::{
    args::{ListSchedulesArgs, PutScheduleArgs, ScheduleCommand, ScheduleNameArgs},
    client::operator_client,
    exit::{CommandError, CommandResult, Completion},
    print,
    screen::{Style, clean},
    table::{local_time, table, truncated},
    tasks::output::print_json,
};
use longhaul_client::{
    Decoded,
    operator_json::{ScheduleSpec, ScheduleView},
};
use longhaul_domain::JsonObject;
use serde_json::value::to_raw_value;
use std::io::Read;

/// Longest name or expression in a table, in characters.
const MAX_NAME_CHARS: usize = 60;

/// Runs the command.
pub async fn run(command: ScheduleCommand) -> CommandResult {
    match command {
        ScheduleCommand::Put(args) => put(&args).await,
        ScheduleCommand::List(args) => list(args).await,
        ScheduleCommand::Show(args) => show(args).await,
        ScheduleCommand::Pause(args) => pause(&args).await,
        ScheduleCommand::Resume(args) => resume(&args).await,
        ScheduleCommand::Fire(args) => fire(args).await,
        ScheduleCommand::Delete(args) => delete(args).await,
    }
}

async fn put(args: &PutScheduleArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let spec = spec_from_args(args, &mut std::io::stdin())?;
    let schedule = operator.put_schedule(&args.owner, &args.name, &spec).await?;
    print_status(&schedule, args.deployment.json)
}

fn spec_from_args(
    args: &PutScheduleArgs,
    input: &mut dyn Read,
) -> Result<ScheduleSpec, CommandError> {
    let message = args.message_file.as_ref().map(|path| {
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            input.read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(path)
        };
        let invalid = |why: &dyn std::fmt::Display| {
            CommandError::usage(format!("--message-file {}: {why}", path.display()))
        };
        let text = text.map_err(|error| invalid(&format_args!("cannot be read: {error}")))?;
        let message = JsonObject::parse(&text).map_err(|error| invalid(&error))?;
        to_raw_value(&message).map_err(|error| invalid(&error))
    });
    Ok(ScheduleSpec {
        agent: args.agent.clone(),
        cron: args.cron.clone(),
        time_zone: Some(args.time_zone.clone()),
        missed: Some(args.missed.into()),
        message: message.transpose()?,
        text: args.text.clone(),
        context_id: args.context.clone(),
        // Absent rather than false: a change must not resume a paused schedule.
        paused: args.paused.then_some(true),
    })
}

async fn list(args: ListSchedulesArgs) -> CommandResult {
    let list = operator_client(&args.deployment)?.schedules(args.owner.as_deref()).await?;
    if args.deployment.json {
        print_json(&list.raw)?;
    } else {
        print::write_out(&schedule_table(&list.value.schedules, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

async fn show(args: ScheduleNameArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let schedule = operator.schedule(&args.owner, &args.name).await?;
    if args.deployment.json {
        print_json(&schedule.raw)?;
    } else {
        print::write_out(&describe(&schedule.value, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

async fn pause(args: &ScheduleNameArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let schedule = operator.pause_schedule(&args.owner, &args.name).await?;
    print_status(&schedule, args.deployment.json)
}

async fn resume(args: &ScheduleNameArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let schedule = operator.resume_schedule(&args.owner, &args.name).await?;
    print_status(&schedule, args.deployment.json)
}

/// Prints the state of a schedule that was changed.
fn print_status(schedule: &Decoded<ScheduleView>, json: bool) -> CommandResult {
    if json {
        print_json(&schedule.raw)?;
    } else {
        print::line(&status_line(&schedule.value, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

async fn fire(args: ScheduleNameArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let fired = operator.fire_schedule(&args.owner, &args.name).await?;
    if args.deployment.json {
        print_json(&fired.raw)?;
    } else {
        let task = clean(&fired.value.task_id);
        print::line(&format!("schedule {} made task {task}", clean(&args.name)))?;
    }
    Ok(Completion::Ok)
}

async fn delete(args: ScheduleNameArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let deleted = operator.delete_schedule(&args.owner, &args.name).await?;
    if args.deployment.json {
        print_json(&deleted.raw)?;
    } else {
        print::line(&format!("schedule {} is deleted", clean(&args.name)))?;
    }
    Ok(Completion::Ok)
}

/// Formats the time of the next task, or why there is none.
fn next_firing(schedule: &ScheduleView, style: Style) -> String {
    match (schedule.paused, schedule.next_at) {
        (true, _) => "paused".to_owned(),
        (false, None) => "never".to_owned(),
        (false, at) => local_time(at, style),
    }
}

fn status_line(schedule: &ScheduleView, style: Style) -> String {
    let name = clean(&schedule.name);
    match (schedule.paused, schedule.next_at) {
        (true, _) => format!("schedule {name} is paused"),
        (false, None) => format!("schedule {name} has no next time"),
        (false, at) => format!("schedule {name} makes its next task at {}", local_time(at, style)),
    }
}

fn schedule_table(schedules: &[ScheduleView], style: Style) -> String {
    if schedules.is_empty() {
        return "no schedules\n".to_owned();
    }
    let row = |schedule: &ScheduleView| {
        vec![
            truncated(&schedule.name, MAX_NAME_CHARS),
            truncated(&schedule.owner, MAX_NAME_CHARS),
            clean(&schedule.agent),
            truncated(&schedule.cron, MAX_NAME_CHARS),
            clean(&schedule.time_zone),
            next_firing(schedule, style),
            local_time(schedule.last.as_ref().map(|last| last.at), style),
        ]
    };
    let header = ["SCHEDULE", "OWNER", "AGENT", "CRON", "ZONE", "NEXT", "LAST"];
    table(&header, schedules.iter().map(row))
}

/// Describes a schedule, a line for each property.
fn describe(schedule: &ScheduleView, style: Style) -> String {
    let last = schedule.last.as_ref().map_or("-".to_owned(), |last| {
        format!("{}  task {}", local_time(Some(last.at), style), clean(&last.task_id))
    });
    let mut text = format!(
        "schedule  {}\nowner     {}\nagent     {}\ncron      {}  in {}, missed: {}\nnext      {}\nlast      {last}\n",
        clean(&schedule.name),
        clean(&schedule.owner),
        clean(&schedule.agent),
        clean(&schedule.cron),
        clean(&schedule.time_zone),
        clean(&schedule.missed),
        next_firing(schedule, style),
    );
    if let Some(context) = &schedule.context_id {
        text.extend(["context   ", &clean(context), "\n"]);
    }
    if let Some(message) = &schedule.message {
        text.extend(["message   ", &clean(message.get()), "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::MissedFiringsArg;
    use chrono::{Offset, Utc};
    use serde_json::json;

    fn style() -> Style {
        Style { terminal: false, offset: Utc.fix() }
    }

    fn schedule(paused: bool) -> ScheduleView {
        serde_json::from_value(json!({"name": "nightly", "owner": "acme", "agent": "echo",
            "cron": "0 3 * * *", "timeZone": "UTC", "missed": "once", "paused": paused,
            "message": {"parts": []}, "nextAt": "2026-01-02T03:00:00Z",
            "last": {"at": "2026-01-01T03:00:00Z", "taskId": "t1"}}))
        .unwrap()
    }

    #[test]
    fn schedules_are_a_table() {
        assert_eq!(
            schedule_table(&[schedule(false), schedule(true)], style()),
            "SCHEDULE  OWNER  AGENT  CRON       ZONE  NEXT                 LAST\n\
             nightly   acme   echo   0 3 * * *  UTC   2026-01-02 03:00:00  2026-01-01 03:00:00\n\
             nightly   acme   echo   0 3 * * *  UTC   paused               2026-01-01 03:00:00\n"
        );
        assert_eq!(schedule_table(&[], style()), "no schedules\n");
    }

    #[test]
    fn a_schedule_is_described_with_its_message() {
        let text = describe(&schedule(false), style());
        assert!(text.contains("task t1\n") && text.contains("message   {\"parts\":[]}"), "{text}");
        assert!(status_line(&schedule(false), style()).contains("next task at 2026-01-02"));
        assert!(status_line(&schedule(true), style()).ends_with("is paused"));
    }

    #[test]
    fn flags_become_a_schedule() {
        let args = PutScheduleArgs {
            name: "n".to_owned(),
            agent: "echo".to_owned(),
            cron: "@hourly".to_owned(),
            time_zone: "UTC".to_owned(),
            missed: MissedFiringsArg::Skip,
            message_file: Some("-".into()),
            context: Some("c".to_owned()),
            ..PutScheduleArgs::default()
        };
        let spec =
            spec_from_args(&args, &mut "{\"parts\": [{\"text\": \"a\"}]}".as_bytes()).unwrap();
        assert_eq!(
            serde_json::to_value(&spec).unwrap(),
            json!({"agent": "echo", "cron": "@hourly", "timeZone": "UTC", "missed": "skip",
                "message": {"parts": [{"text": "a"}]}, "contextId": "c"})
        );
        let bad = spec_from_args(&args, &mut "[1]".as_bytes()).unwrap_err();
        assert!(bad.code() == 2 && bad.to_string().starts_with("--message-file"), "{bad}");
    }
}
