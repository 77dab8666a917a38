//! `longhaul tasks get`, `list` and `cancel`.

use super::{
    attempt_notes::AttemptNotes,
    message,
    output::{TaskOutput, print_json},
    short_id, suggestion,
};
use crate::{
    args::{CancelTaskArgs, GetTaskArgs, ListTasksArgs},
    client::{a2a_client, reporting_client},
    exit::{CommandResult, Completion},
    print,
    screen::{Style, clean},
    table::{local_time, table},
};
use longhaul_client::ReceivedRunReport;
use longhaul_domain::TaskState;
use longhaul_wire::{CancelRequest, ListRequest, ReceivedTask};

/// Most tasks of a page (A2A 3.1.4).
const MAX_PAGE_TASKS: u32 = 100;

/// `longhaul tasks get`.
pub async fn get(args: GetTaskArgs) -> CommandResult {
    let client = reporting_client(&args.server)?;
    let mut output = TaskOutput::new(args.json, args.output.as_deref())?;
    let id = short_id::resolve(&args.id, &client).await?;
    let task = client.task(&id, Some(args.history)).await?;
    let report = ReceivedRunReport::from_task(&task.value);
    output.task(&task.raw, task.value)?;
    output.finish()?;
    if output.is_screen() {
        if let Some(line) = describe_run(&report, Style::of_stdout()) {
            output.remark(&line)?;
        }
        // Failed attempts explain why a task takes long.
        if report.attempt.is_some_and(|attempt| attempt > 0) {
            AttemptNotes::new(client).show_new(&id, &mut output).await?;
        }
    }
    Ok(Completion::Ok)
}

/// Describes a run in a line; `None` if the server does not report it.
fn describe_run(report: &ReceivedRunReport, style: Style) -> Option<String> {
    let agent = clean(report.agent.as_ref()?);
    let attempt = report.attempt.filter(|attempt| *attempt > 0);
    let attempt = attempt.map(|attempt| format!("  attempt {attempt}")).unwrap_or_default();
    let queue = report.queue.as_deref().map(clean).unwrap_or_default();
    let due = report.run_at.filter(|_| queue == "scheduled");
    let due = due.map(|at| format!(" for {}", local_time(Some(at), style))).unwrap_or_default();
    let line = format!("agent {agent}{attempt}  {queue}{due}");
    Some(line.trim_end().to_owned())
}

/// `longhaul tasks list`.
pub async fn list(args: ListTasksArgs) -> CommandResult {
    let client = reporting_client(&args.server)?;
    let mut request = ListRequest {
        context_id: message::context_from_arg(args.context.as_deref())?,
        status: args.state,
        ..ListRequest::default()
    };
    let mut tasks = Vec::new();
    let mut left = args.limit;
    while left > 0 {
        request.page_size = Some(left.min(MAX_PAGE_TASKS));
        let page = client.tasks(&request).await?;
        // Printed page by page: each is a JSON object of its own.
        if args.json {
            print_json(&page.raw)?;
        }
        let page = page.value;
        left = left.saturating_sub(u32::try_from(page.tasks.len()).unwrap_or(u32::MAX));
        let is_last = page.tasks.is_empty() || page.next_page_token.is_empty();
        tasks.extend(page.tasks);
        if is_last {
            break;
        }
        request.page_token = Some(page.next_page_token);
    }
    if !args.json {
        print::write_out(&task_table(&tasks, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

/// `longhaul tasks cancel`.
pub async fn cancel(args: CancelTaskArgs) -> CommandResult {
    let client = a2a_client(&args.server)?;
    let id = short_id::resolve(&args.id, &client).await?;
    let task = client.cancel(&CancelRequest { tenant: None, id, metadata: None }).await?;
    if args.json {
        print_json(&task.raw)?;
        return Ok(Completion::Ok);
    }
    let task = task.value;
    // A running task is canceled once its executor has stopped.
    if task.status.state == TaskState::Canceled {
        print::line(&format!("task {} is canceled", clean(&task.id.to_string())))?;
    } else {
        let watch = suggestion::command("watch", &task.id, &args.server);
        print::line(&format!(
            "task {} was asked to stop and is {} for now. Watch it: {watch}",
            clean(&task.id.to_string()),
            task.status.state.name()
        ))?;
    }
    Ok(Completion::Ok)
}

fn task_table(tasks: &[ReceivedTask], style: Style) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let reports: Vec<ReceivedRunReport> = tasks.iter().map(ReceivedRunReport::from_task).collect();
    // Servers other than Longhaul do not report the agent.
    let with_agents = reports.iter().any(|report| report.agent.is_some());
    let mut header = vec!["TASK", "STATE", "SINCE", "CONTEXT"];
    if with_agents {
        header.insert(1, "AGENT");
    }
    let row = |(task, report): (&ReceivedTask, &ReceivedRunReport)| {
        let mut row = vec![
            clean(&task.id.to_string()),
            task.status.state.name().to_owned(),
            local_time(task.status.at, style),
            task.context.as_ref().map_or("-".to_owned(), |context| clean(context.as_str())),
        ];
        if with_agents {
            row.insert(1, report.agent.as_ref().map_or("-".to_owned(), |agent| clean(agent)));
        }
        row
    };
    table(&header, tasks.iter().zip(&reports).map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{FixedOffset, Offset, Utc};
    use longhaul_wire::v1;
    use serde_json::{json, value::to_raw_value};

    fn style() -> Style {
        let offset: FixedOffset = Utc.fix();
        Style { terminal: false, offset }
    }

    #[test]
    fn tasks_are_a_table() {
        let task = json!({"id": "t1", "contextId": "c1", "status": {
            "state": "TASK_STATE_INPUT_REQUIRED", "timestamp": "2026-01-02T03:04:05.000Z"}});
        let task = v1::received_task(&to_raw_value(&task).unwrap()).unwrap();
        assert_eq!(
            task_table(&[task], style()),
            "TASK  STATE           SINCE                CONTEXT\n\
             t1    input-required  2026-01-02 03:04:05  c1\n"
        );
        assert_eq!(task_table(&[], style()), "no tasks\n");
        let report = json!({"agent": "echo", "attempt": 2, "queue": "scheduled", "runAt": "2026-01-02T03:04:09Z"});
        let task = json!({"id": "t1", "metadata": {"urn:longhaul:a2a:durability:v1": report},
            "status": {"state": "TASK_STATE_WORKING"}});
        let task = v1::received_task(&to_raw_value(&task).unwrap()).unwrap();
        let line = describe_run(&ReceivedRunReport::from_task(&task), style()).unwrap();
        assert_eq!(line, "agent echo  attempt 2  scheduled for 2026-01-02 03:04:09");
        let table = task_table(&[task], style());
        assert_eq!(table, "TASK  AGENT  STATE    SINCE  CONTEXT\nt1    echo   working  -      -\n");
    }
}
