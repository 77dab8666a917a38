//! `longhaul tasks get`, `list` and `cancel`: one question, one answer.

use super::{attempts::Attempts, hint, resolve, view};
use crate::{
    args::{CancelTask, GetTask, ListTasks},
    client::{self, Endpoint, Site, params, unreadable},
    exit::{Done, Outcome},
    print,
    screen::{Style, clean},
};
use longhaul_domain::{TaskState, Timestamp, extension::DURABILITY_EXTENSION};
use longhaul_wire::{CancelRequest, ListRequest, ReceivedTask, v1};
use serde::Deserialize;
use view::View;

/// The most that a server gives at once (A2A 3.1.4).
const PAGE: u32 = 100;

/// `longhaul tasks get`.
pub async fn get(args: GetTask) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?.with_reports();
    let mut view = View::new(args.json, args.output.as_deref())?;
    let id = resolve::task(&args.id, &args.server).await?;
    let raw = client::get(&endpoint, &id, Some(args.history)).await?;
    let task = v1::received_task(&raw).map_err(|error| unreadable(&error))?;
    let report = RunReport::of(&task);
    view.task(&raw, task)?;
    view.finish()?;
    if view.is_screen() {
        if let Some(line) = report.line(Style::of_stdout()) {
            view.remark(&line)?;
        }
        if report.attempt.is_some_and(|attempt| attempt > 0) {
            let site = Site::new(&args.server.url, args.server.api_key.as_ref())?;
            Attempts::new(site).show_new(&id, &mut view).await?;
        }
    }
    Ok(Done::Ok)
}

/// How a task is run, as a Longhaul server reports it in its metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunReport {
    agent: Option<String>,
    attempt: Option<i64>,
    queue: Option<String>,
    run_at: Option<Timestamp>,
}

impl RunReport {
    /// Empty where the server reports nothing.
    fn of(task: &ReceivedTask) -> Self {
        let report = task.metadata.as_ref().and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
        report.and_then(|report| report.to().ok()).unwrap_or_default()
    }

    /// One line for people.
    fn line(&self, style: Style) -> Option<String> {
        let agent = clean(self.agent.as_ref()?);
        let attempt = self.attempt.filter(|attempt| *attempt > 0);
        let attempt = attempt.map(|attempt| format!("  attempt {attempt}")).unwrap_or_default();
        let queue = self.queue.as_deref().map(clean).unwrap_or_default();
        let at = self.run_at.filter(|_| queue == "scheduled").map(|at| {
            format!(" for {}", at.with_timezone(&style.offset).format("%Y-%m-%d %H:%M:%S"))
        });
        let line = format!("agent {agent}{attempt}  {queue}{}", at.unwrap_or_default());
        Some(line.trim_end().to_owned())
    }
}

/// `longhaul tasks list`.
pub async fn list(args: ListTasks) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?.with_reports();
    let mut request = ListRequest {
        context_id: client::context(args.context.as_deref())?,
        status: args.state,
        ..ListRequest::default()
    };
    let mut tasks = Vec::new();
    let mut left = args.limit;
    while left > 0 {
        request.page_size = Some(left.min(PAGE));
        let raw = endpoint.call("ListTasks", &params(&request)?).await?;
        let page = v1::received_page(&raw).map_err(|error| unreadable(&error))?;
        if args.json {
            view::print_json(&raw)?;
        }
        left = left.saturating_sub(u32::try_from(page.tasks.len()).unwrap_or(u32::MAX));
        let at_the_end = page.tasks.is_empty() || page.next_page_token.is_empty();
        tasks.extend(page.tasks);
        if at_the_end {
            break;
        }
        request.page_token = Some(page.next_page_token);
    }
    if !args.json {
        print::write_out(&as_table(&tasks, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

/// `longhaul tasks cancel`.
pub async fn cancel(args: CancelTask) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?;
    let id = resolve::task(&args.id, &args.server).await?;
    let request = CancelRequest { tenant: None, id, metadata: None };
    let raw = endpoint.call("CancelTask", &params(&request)?).await?;
    if args.json {
        view::print_json(&raw)?;
        return Ok(Done::Ok);
    }
    let task = v1::received_task(&raw).map_err(|error| unreadable(&error))?;
    if task.status.state == TaskState::Canceled {
        print::line(&format!("task {} is canceled", clean(&task.id.to_string())))?;
    } else {
        let watch = hint::command("watch", &task.id, &args.server);
        print::line(&format!(
            "task {} was asked to stop and is {} for now. Watch it: {watch}",
            clean(&task.id.to_string()),
            task.status.state.name()
        ))?;
    }
    Ok(Done::Ok)
}

fn as_table(tasks: &[ReceivedTask], style: Style) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let reports: Vec<RunReport> = tasks.iter().map(RunReport::of).collect();
    // Other servers do not say which agent it is.
    let with_agents = reports.iter().any(|report| report.agent.is_some());
    let mut head = ["TASK", "STATE", "SINCE", "CONTEXT"].map(str::to_owned).to_vec();
    if with_agents {
        head.insert(1, "AGENT".to_owned());
    }
    let row = |(task, report): (&ReceivedTask, &RunReport)| {
        let at = task.status.at.map(|at| at.with_timezone(&style.offset));
        let mut row = vec![
            clean(&task.id.to_string()),
            task.status.state.name().to_owned(),
            at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string()),
            task.context.as_ref().map_or("-".to_owned(), |context| clean(context.as_str())),
        ];
        if with_agents {
            row.insert(1, report.agent.as_ref().map_or("-".to_owned(), |agent| clean(agent)));
        }
        row
    };
    let rows = tasks.iter().zip(&reports).map(row);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    print::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{FixedOffset, Offset, Utc};
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
            as_table(&[task], style()),
            "TASK  STATE           SINCE                CONTEXT\n\
             t1    input-required  2026-01-02 03:04:05  c1\n"
        );
        assert_eq!(as_table(&[], style()), "no tasks\n");
        let report = json!({"agent": "echo", "attempt": 2, "queue": "scheduled", "runAt": "2026-01-02T03:04:09Z"});
        let task = json!({"id": "t1", "metadata": {"urn:longhaul:a2a:durability:v1": report},
            "status": {"state": "TASK_STATE_WORKING"}});
        let task = v1::received_task(&to_raw_value(&task).unwrap()).unwrap();
        let line = RunReport::of(&task).line(style()).unwrap();
        assert_eq!(line, "agent echo  attempt 2  scheduled for 2026-01-02 03:04:09");
        let table = as_table(&[task], style());
        assert_eq!(table, "TASK  AGENT  STATE    SINCE  CONTEXT\nt1    echo   working  -      -\n");
    }
}
