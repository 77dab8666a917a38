//! `longhaul tasks log`: what happened to a task, entry by entry.

use super::{attempts, resolve, view::print_json};
use crate::{
    args::LogTask,
    client::{ClientError, RunNote, Site, TaskLogEntry, TaskLogPage, read},
    exit::{Done, Outcome},
    operator::look::{head, short, time},
    print,
    screen::{Style, clean},
};
use serde::Deserialize;

/// How much of an entry a line shows.
const MAX_TEXT_CHARS: usize = 100;
/// Entries of one request.
const PAGE_ENTRIES: u32 = 1_000;

/// Runs the command.
pub async fn run(args: LogTask) -> Outcome {
    let id = resolve::task(&args.id, &args.server).await?.to_string();
    let site = Site::new(&args.server.url, args.server.api_key.as_ref())?;
    let (mut after, mut left) = (args.after, args.limit);
    let (mut entries, mut agent) = (Vec::new(), None);
    while left > 0 {
        let limit = left.min(PAGE_ENTRIES);
        let mut query = vec![("after", after.to_string()), ("limit", limit.to_string())];
        if args.attempts {
            query.push(("kind", "note".to_owned()));
        }
        let raw = site.task_log(&id, &query).await.map_err(no_log)?;
        let page: TaskLogPage = read(&raw)?;
        if args.json {
            print_json(&raw)?;
        }
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        after = page.next;
        agent.get_or_insert(page.agent);
        entries.extend(page.entries);
        if !page.more {
            break;
        }
    }
    if let (Some(agent), false) = (agent, args.json) {
        print::line(&format!("agent {}", clean(&agent)))?;
        print::write_out(&table(&entries, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

/// Another A2A server has no log to read.
fn no_log(error: ClientError) -> ClientError {
    match error {
        ClientError::Http { url, status: status @ (404 | 405), .. } => ClientError::Http {
            url,
            status,
            hint: "; logs of tasks are read from Longhaul servers only",
        },
        error => error,
    }
}

fn table(entries: &[TaskLogEntry], style: Style) -> String {
    if entries.is_empty() {
        return "no entries\n".to_owned();
    }
    let row = |entry: &TaskLogEntry| {
        vec![
            entry.seq.to_string(),
            time(Some(entry.at), style),
            if entry.attempt > 0 { entry.attempt.to_string() } else { "-".to_owned() },
            clean(&entry.kind),
            short(&said(entry), MAX_TEXT_CHARS),
        ]
    };
    let names = head(&["SEQ", "AT", "ATTEMPT", "KIND", "WHAT"]);
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(entries.iter().map(row)).collect();
    print::table(&rows)
}

/// The parts of an entry that a line shows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EntryBody {
    state: Option<String>,
    message: Option<Said>,
    artifact: Option<Made>,
    append: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    parts: Vec<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Made {
    artifact_id: String,
    name: Option<String>,
    parts: Vec<serde_json::Value>,
}

fn said(entry: &TaskLogEntry) -> String {
    if let Some(note) = entry.note() {
        let cancel = || match note {
            RunNote::CancelRequested => "it was asked to stop".to_owned(),
            _ => entry.body.as_str().to_owned(),
        };
        return attempts::sentence(&note).unwrap_or_else(cancel);
    }
    let Ok(body) = entry.body.to::<EntryBody>() else { return entry.body.as_str().to_owned() };
    let text = |parts: &[serde_json::Value]| {
        let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        match (texts.concat(), parts.len()) {
            (text, _) if !text.is_empty() => text,
            (_, 1) => "1 part".to_owned(),
            (_, parts) => format!("{parts} parts"),
        }
    };
    match (body.artifact, body.state, body.message) {
        (Some(made), ..) => {
            let name = made.name.unwrap_or(made.artifact_id);
            let more = if body.append { " (continued)" } else { "" };
            format!("{name}{more}: {}", text(&made.parts))
        }
        (None, Some(state), Some(message)) => format!("{state}: {}", text(&message.parts)),
        (None, Some(state), None) => state,
        (None, None, Some(message)) => text(&message.parts),
        (None, None, None) => entry.body.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_of_entry_is_a_line() {
        let shown = |kind: &str, body: serde_json::Value| {
            let entry = json!({"seq": 1, "at": "2026-01-02T03:04:05Z", "attempt": 1, "kind": kind, "body": body});
            said(&serde_json::from_value(entry).unwrap())
        };
        let parts = json!([{"text": "hi"}]);
        assert_eq!(shown("message", json!({"message": {"parts": parts}})), "hi");
        let failed = json!({"state": "failed", "message": {"parts": parts}});
        assert_eq!(shown("status", failed), "failed: hi");
        let chunk =
            json!({"artifact": {"artifactId": "a", "parts": [{"data": 1}]}, "append": true});
        assert_eq!(shown("artifact", chunk), "a (continued): 1 part");
        assert_eq!(shown("note", json!({"note": "cancel-requested"})), "it was asked to stop");
    }
}
