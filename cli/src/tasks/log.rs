//! `longhaul tasks log`.

use super::{
    output::{describe_note, print_json},
    short_id,
};
use crate::{
    args::TaskLogArgs,
    client::a2a_client,
    exit::{CommandError, CommandResult, Completion},
    print,
    screen::{Style, clean},
    table::{local_time, table, truncated},
};
use longhaul_client::{ClientError, RunNote, TaskLogQuery, native_json::LogEntryView};
use serde::Deserialize;

/// Longest entry in a table, in characters.
const MAX_TEXT_CHARS: usize = 100;
/// Most entries of a request.
const MAX_PAGE_ENTRIES: u32 = 1_000;

/// Runs the command.
pub async fn run(args: TaskLogArgs) -> CommandResult {
    let client = a2a_client(&args.server)?;
    let task = short_id::resolve(&args.id, &client).await?;
    let (mut after, mut left) = (args.after, args.limit);
    let (mut entries, mut agent) = (Vec::new(), None);
    while left > 0 {
        let query = TaskLogQuery {
            after: Some(after),
            limit: Some(left.min(MAX_PAGE_ENTRIES)),
            notes_only: args.attempts,
            ..TaskLogQuery::default()
        };
        let page = client.task_log(&task, query).await.map_err(log_error)?;
        if args.json {
            print_json(&page.raw)?;
        }
        let page = page.value;
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        // The last entry that was looked at, which a filter may have left out.
        after = page.next;
        // The same on every page.
        agent.get_or_insert(page.agent);
        entries.extend(page.entries);
        if !page.more {
            break;
        }
    }
    if let (Some(agent), false) = (agent, args.json) {
        print::line(&format!("agent {}", clean(&agent)))?;
        print::write_out(&entry_table(&entries, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

/// Explains an error; a server without task logs is probably no Longhaul server.
fn log_error(error: ClientError) -> CommandError {
    match error {
        ClientError::Http { status: 404 | 405, .. } => CommandError::failed(format!(
            "{error}; logs of tasks are read from Longhaul servers only"
        )),
        error => error.into(),
    }
}

fn entry_table(entries: &[LogEntryView], style: Style) -> String {
    if entries.is_empty() {
        return "no entries\n".to_owned();
    }
    let row = |entry: &LogEntryView| {
        vec![
            entry.seq.to_string(),
            local_time(Some(entry.at), style),
            if entry.attempt > 0 { entry.attempt.to_string() } else { "-".to_owned() },
            clean(&entry.kind),
            truncated(&describe(entry), MAX_TEXT_CHARS),
        ]
    };
    table(&["SEQ", "AT", "ATTEMPT", "KIND", "WHAT"], entries.iter().map(row))
}

/// The members of an entry that its line shows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EntryBody {
    state: Option<String>,
    message: Option<EntryMessage>,
    artifact: Option<EntryArtifact>,
    append: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EntryMessage {
    parts: Vec<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EntryArtifact {
    artifact_id: String,
    name: Option<String>,
    parts: Vec<serde_json::Value>,
}

/// Describes an entry in a line; one of an unknown form as its JSON.
fn describe(entry: &LogEntryView) -> String {
    let json = || entry.body.get().to_owned();
    if let Some(note) = RunNote::from_entry(entry) {
        let other = || match note {
            RunNote::CancelRequested => "it was asked to stop".to_owned(),
            _ => json(),
        };
        return describe_note(&note).unwrap_or_else(other);
    }
    let Ok(body) = serde_json::from_str::<EntryBody>(entry.body.get()) else { return json() };
    let text = |parts: &[serde_json::Value]| {
        let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        match (texts.concat(), parts.len()) {
            (text, _) if !text.is_empty() => text,
            (_, 1) => "1 part".to_owned(),
            (_, parts) => format!("{parts} parts"),
        }
    };
    match (body.artifact, body.state, body.message) {
        (Some(artifact), ..) => {
            let name = artifact.name.unwrap_or(artifact.artifact_id);
            let more = if body.append { " (continued)" } else { "" };
            format!("{name}{more}: {}", text(&artifact.parts))
        }
        (None, Some(state), Some(message)) => format!("{state}: {}", text(&message.parts)),
        (None, Some(state), None) => state,
        (None, None, Some(message)) => text(&message.parts),
        (None, None, None) => json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_of_entry_is_a_line() {
        let line = |kind: &str, body: serde_json::Value| {
            let entry = json!({"seq": 1, "at": "2026-01-02T03:04:05Z", "attempt": 1, "kind": kind, "body": body});
            describe(&serde_json::from_value(entry).unwrap())
        };
        let parts = json!([{"text": "hi"}]);
        assert_eq!(line("message", json!({"message": {"parts": parts}})), "hi");
        let failed = json!({"state": "failed", "message": {"parts": parts}});
        assert_eq!(line("status", failed), "failed: hi");
        let chunk =
            json!({"artifact": {"artifactId": "a", "parts": [{"data": 1}]}, "append": true});
        assert_eq!(line("artifact", chunk), "a (continued): 1 part");
        assert_eq!(line("note", json!({"note": "cancel-requested"})), "it was asked to stop");
    }
}
