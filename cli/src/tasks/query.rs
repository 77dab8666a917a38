//! `longhaul tasks get`, `list` and `cancel`: one question, one answer.

use super::{hint, view};
use crate::{
    args::{CancelTask, GetTask, ListTasks},
    client::{self, Endpoint, params, unreadable},
    exit::{Done, Outcome},
    print,
    screen::{Style, clean},
};
use longhaul_domain::TaskState;
use longhaul_wire::{CancelRequest, ListRequest, ReceivedTask, TaskRef, v1};
use view::View;

/// The most that a server gives at once (A2A 3.1.4).
const PAGE: u32 = 100;

/// `longhaul tasks get`.
pub async fn get(args: GetTask) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?;
    let mut view = View::new(args.json, args.output.as_deref())?;
    let raw = client::get(&endpoint, &TaskRef::parse(&args.id), Some(args.history)).await?;
    let task = v1::received_task(&raw).map_err(|error| unreadable(&error))?;
    view.task(&raw, task)?;
    view.finish()?;
    Ok(Done::Ok)
}

/// `longhaul tasks list`.
pub async fn list(args: ListTasks) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?;
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
    let request = CancelRequest { tenant: None, id: TaskRef::parse(&args.id), metadata: None };
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
    let head = ["TASK", "STATE", "SINCE", "CONTEXT"].map(str::to_owned).to_vec();
    let row = |task: &ReceivedTask| {
        let at = task.status.at.map(|at| at.with_timezone(&style.offset));
        vec![
            clean(&task.id.to_string()),
            task.status.state.name().to_owned(),
            at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string()),
            task.context.as_ref().map_or("-".to_owned(), |context| clean(context.as_str())),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(tasks.iter().map(row)).collect();
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
    }
}
