//! `longhaul schedule`.

use super::look::{head, short, time};
use crate::{
    args::{ListSchedules, OneSchedule, PutSchedule, ScheduleCommand},
    client::{Operator, read},
    exit::{Done, Failure, Outcome},
    print,
    screen::{Style, clean},
    tasks::view::print_json,
};
use longhaul_domain::{Json, JsonObject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Read;

const SCHEDULES: &str = "schedules";
/// How much of a name or a list is shown.
const WIDTH: usize = 60;

/// A schedule, as the server writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schedule {
    name: String,
    owner: String,
    agent: String,
    cron: String,
    time_zone: String,
    missed: String,
    #[serde(default)]
    context_id: Option<String>,
    #[serde(default)]
    message: Option<Json>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    next_at: Option<Timestamp>,
    #[serde(default)]
    last: Option<Last>,
}

/// When it made a task last.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    at: Timestamp,
    task_id: String,
}

#[derive(Debug, Deserialize)]
struct Schedules {
    schedules: Vec<Schedule>,
}

/// What is put.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Put<'a> {
    agent: &'a str,
    cron: &'a str,
    time_zone: &'a str,
    missed: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_id: Option<&'a str>,
    /// Absent: as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
}

/// Runs the command.
pub async fn run(command: ScheduleCommand) -> Outcome {
    match command {
        ScheduleCommand::Put(args) => put(&args).await,
        ScheduleCommand::List(args) => list(args).await,
        ScheduleCommand::Show(args) => show(args).await,
        ScheduleCommand::Pause(args) => change(&args, "pause").await,
        ScheduleCommand::Resume(args) => change(&args, "resume").await,
        ScheduleCommand::Fire(args) => fire(args).await,
        ScheduleCommand::Delete(args) => delete(args).await,
    }
}

async fn put(args: &PutSchedule) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let body = body(args, &mut std::io::stdin())?;
    let raw = operator.put(&[SCHEDULES, &args.owner, &args.name], &body).await?;
    told(&raw, args.deployment.json)
}

fn body<'a>(args: &'a PutSchedule, input: &mut dyn Read) -> Result<Put<'a>, Failure> {
    let message = args.message_file.as_ref().map(|path| {
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            input.read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(path)
        };
        let refused = |why: &dyn std::fmt::Display| {
            Failure::usage(format!("--message-file {}: {why}", path.display()))
        };
        let text = text.map_err(|error| refused(&format_args!("cannot be read: {error}")))?;
        JsonObject::parse(&text).map_err(|error| refused(&error))
    });
    Ok(Put {
        agent: &args.agent,
        cron: &args.cron,
        time_zone: &args.time_zone,
        missed: args.missed.name(),
        message: message.transpose()?,
        text: args.text.as_deref(),
        context_id: args.context.as_deref(),
        paused: args.paused.then_some(true),
    })
}

async fn list(args: ListSchedules) -> Outcome {
    let query: Vec<(&str, String)> = args.owner.map(|owner| ("owner", owner)).into_iter().collect();
    let raw = Operator::new(&args.deployment)?.get(&[SCHEDULES], &query).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        let schedules = read::<Schedules>(&raw)?.schedules;
        print::write_out(&as_table(&schedules, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

async fn show(args: OneSchedule) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let raw = operator.get(&[SCHEDULES, &args.owner, &args.name], &[]).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        print::write_out(&facts(&read(&raw)?, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

async fn change(args: &OneSchedule, verb: &str) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let raw = operator.post(&[SCHEDULES, &args.owner, &args.name, verb]).await?;
    told(&raw, args.deployment.json)
}

/// Says how a schedule stands that was changed.
fn told(raw: &RawValue, json: bool) -> Outcome {
    if json {
        print_json(raw)?;
    } else {
        print::line(&standing(&read(raw)?, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

async fn fire(args: OneSchedule) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct FiredAs {
        task_id: String,
    }
    let operator = Operator::new(&args.deployment)?;
    let raw = operator.post(&[SCHEDULES, &args.owner, &args.name, "fire"]).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        let task = read::<FiredAs>(&raw)?.task_id;
        print::line(&format!("schedule {} made task {}", clean(&args.name), clean(&task)))?;
    }
    Ok(Done::Ok)
}

async fn delete(args: OneSchedule) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let raw = operator.delete(&[SCHEDULES, &args.owner, &args.name]).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        print::line(&format!("schedule {} is deleted", clean(&args.name)))?;
    }
    Ok(Done::Ok)
}

/// When it makes its next task, or why it does not.
fn next(schedule: &Schedule, style: Style) -> String {
    match (schedule.paused, schedule.next_at) {
        (true, _) => "paused".to_owned(),
        (false, None) => "never".to_owned(),
        (false, at) => time(at, style),
    }
}

fn standing(schedule: &Schedule, style: Style) -> String {
    let name = clean(&schedule.name);
    match (schedule.paused, schedule.next_at) {
        (true, _) => format!("schedule {name} is paused"),
        (false, None) => format!("schedule {name} has no next time"),
        (false, at) => format!("schedule {name} makes its next task at {}", time(at, style)),
    }
}

fn as_table(schedules: &[Schedule], style: Style) -> String {
    if schedules.is_empty() {
        return "no schedules\n".to_owned();
    }
    let names = head(&["SCHEDULE", "OWNER", "AGENT", "CRON", "ZONE", "NEXT", "LAST"]);
    let row = |schedule: &Schedule| {
        vec![
            short(&schedule.name, WIDTH),
            short(&schedule.owner, WIDTH),
            clean(&schedule.agent),
            short(&schedule.cron, WIDTH),
            clean(&schedule.time_zone),
            next(schedule, style),
            time(schedule.last.as_ref().map(|last| last.at), style),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(schedules.iter().map(row)).collect();
    print::table(&rows)
}

/// Everything that is known of it, a line each.
fn facts(schedule: &Schedule, style: Style) -> String {
    let last = schedule.last.as_ref().map_or("-".to_owned(), |last| {
        format!("{}  task {}", time(Some(last.at), style), clean(&last.task_id))
    });
    let mut text = format!(
        "schedule  {}\nowner     {}\nagent     {}\ncron      {}  in {}, missed: {}\nnext      {}\nlast      {last}\n",
        clean(&schedule.name),
        clean(&schedule.owner),
        clean(&schedule.agent),
        clean(&schedule.cron),
        clean(&schedule.time_zone),
        clean(&schedule.missed),
        next(schedule, style),
    );
    if let Some(context) = &schedule.context_id {
        text.extend(["context   ", &clean(context), "\n"]);
    }
    if let Some(message) = &schedule.message {
        text.extend(["message   ", &clean(message.as_str()), "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Missed;
    use chrono::{Offset, Utc};
    use serde_json::json;

    fn style() -> Style {
        Style { terminal: false, offset: Utc.fix() }
    }

    fn schedule(paused: bool) -> Schedule {
        serde_json::from_value(json!({"name": "nightly", "owner": "acme", "agent": "echo",
            "cron": "0 3 * * *", "timeZone": "UTC", "missed": "once", "paused": paused,
            "message": {"parts": []}, "nextAt": "2026-01-02T03:00:00Z",
            "last": {"at": "2026-01-01T03:00:00Z", "taskId": "t1"}}))
        .unwrap()
    }

    #[test]
    fn schedules_are_a_table() {
        assert_eq!(
            as_table(&[schedule(false), schedule(true)], style()),
            "SCHEDULE  OWNER  AGENT  CRON       ZONE  NEXT                 LAST\n\
             nightly   acme   echo   0 3 * * *  UTC   2026-01-02 03:00:00  2026-01-01 03:00:00\n\
             nightly   acme   echo   0 3 * * *  UTC   paused               2026-01-01 03:00:00\n"
        );
        assert_eq!(as_table(&[], style()), "no schedules\n");
    }

    #[test]
    fn one_is_shown_with_its_message() {
        let text = facts(&schedule(false), style());
        assert!(text.contains("task t1\n") && text.contains("message   {\"parts\":[]}"), "{text}");
        assert!(standing(&schedule(false), style()).contains("next task at 2026-01-02"));
        assert!(standing(&schedule(true), style()).ends_with("is paused"));
    }

    #[test]
    fn the_flags_become_a_schedule() {
        let args = PutSchedule {
            name: "n".to_owned(),
            agent: "echo".to_owned(),
            cron: "@hourly".to_owned(),
            time_zone: "UTC".to_owned(),
            missed: Missed::Skip,
            message_file: Some("-".into()),
            context: Some("c".to_owned()),
            ..PutSchedule::default()
        };
        let put = body(&args, &mut "{\"parts\": [{\"text\": \"a\"}]}".as_bytes()).unwrap();
        assert_eq!(
            serde_json::to_value(&put).unwrap(),
            json!({"agent": "echo", "cron": "@hourly", "timeZone": "UTC", "missed": "skip",
                "message": {"parts": [{"text": "a"}]}, "contextId": "c"})
        );
        let bad = body(&args, &mut "[1]".as_bytes()).unwrap_err();
        assert!(bad.code() == 2 && bad.to_string().starts_with("--message-file"), "{bad}");
    }
}
