//! The newer conformance corpus. The beginning of a message's first text chooses the behaviour of
//! the task; later messages continue with it, unless they name another.

use super::artifacts::{chunks, data, file, file_url, longest, text};
use crate::plan::{HangMode, Plan, PlanEnding};
use longhaul_domain::{Content, Message};

/// Duration of a long-running task: long enough to be seen working, short enough not to delay the
/// kit.
const LONG_RUNNING_MS: u64 = 1000;

/// The behaviours of the corpus.
const NAMES: &[&str] = &[
    "tck-complete-task",
    "tck-input-required",
    "tck-auth-required",
    "tck-reject-task",
    "tck-task-failure",
    "tck-message-response",
    "tck-multi-turn",
    "tck-cancel",
    "tck-long-running",
    "tck-artifact-text",
    "tck-artifact-data",
    "tck-artifact-file",
    "tck-artifact-file-url",
    "tck-stream-basic",
    "tck-stream-chunked",
];

/// The plan for a task with this message.
pub(super) fn plan(message: &Message) -> Option<Plan> {
    // A text file is text to an agent, but does not name a behaviour.
    let first = message.parts.iter().find_map(|part| match &part.content {
        Content::Text(text) => Some(text),
        _ => None,
    })?;
    let name = longest(NAMES, first.trim_start())?;
    let outputs = match name {
        "tck-artifact-text" => text("Generated text content"),
        "tck-artifact-data" => data(),
        "tck-artifact-file" => file(),
        "tck-artifact-file-url" => file_url(),
        "tck-long-running" => text("Long-running work is done"),
        "tck-stream-basic" => text("Streamed text content"),
        "tck-stream-chunked" => chunks(&["chunk-1 ", "chunk-2 ", "chunk-3"]),
        _ => Vec::new(),
    };
    let end = match name {
        "tck-input-required" | "tck-multi-turn" => PlanEnding::InputRequired,
        "tck-auth-required" => PlanEnding::AuthRequired,
        "tck-reject-task" => PlanEnding::Rejected,
        "tck-task-failure" => PlanEnding::Failed,
        "tck-message-response" => PlanEnding::Message,
        _ => PlanEnding::Completed,
    };
    Some(Plan {
        outputs,
        end,
        say: Some(said(name).to_owned()),
        delay_ms: if name == "tck-long-running" { LONG_RUNNING_MS } else { 0 },
        hang: (name == "tck-cancel").then_some(HangMode::UntilCancel),
        until: (name == "tck-multi-turn").then(|| "done".to_owned()),
        ..Plan::default()
    })
}

/// The message of the last status, or the direct reply.
fn said(name: &str) -> &'static str {
    match name {
        "tck-complete-task" => "Hello from TCK",
        "tck-message-response" => "Direct message response",
        "tck-input-required" | "tck-multi-turn" => "Please say more",
        "tck-auth-required" => "Please authorize",
        "tck-reject-task" => "rejected",
        "tck-task-failure" => "failed as asked",
        _ => "done as asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{MessageId, Part, Role};

    fn of(parts: Vec<Part>) -> Option<Plan> {
        plan(&Message::new(MessageId::new("m-1").unwrap(), Role::User, parts))
    }

    #[test]
    fn endings_match_their_names() {
        for (text, end) in [
            ("tck-complete-task", PlanEnding::Completed),
            ("tck-input-required please", PlanEnding::InputRequired),
            ("tck-auth-required", PlanEnding::AuthRequired),
            ("tck-reject-task", PlanEnding::Rejected),
            ("tck-task-failure", PlanEnding::Failed),
            (" tck-message-response", PlanEnding::Message),
            ("tck-multi-turn start", PlanEnding::InputRequired),
        ] {
            assert_eq!(of(vec![Part::text(text)]).unwrap().end, end, "{text}");
        }
    }

    #[test]
    fn artifacts_match_their_names() {
        for (text, chunks) in [
            ("tck-artifact-text", 1),
            ("tck-artifact-data", 1),
            ("tck-artifact-file", 1),
            ("tck-artifact-file-url", 1),
            ("tck-long-running", 1),
            ("tck-stream-basic", 1),
            ("tck-stream-chunked", 3),
        ] {
            let plan = of(vec![Part::text(text)]).unwrap();
            assert_eq!(plan.outputs[0].chunks.len(), chunks, "{text}");
            assert_eq!(plan.end, PlanEnding::Completed, "{text}");
        }
    }

    #[test]
    fn only_the_first_text_counts_and_files_before_it_are_skipped() {
        let file = || Part::raw("x", "text/plain");
        let named = || Part::text("tck-cancel");
        assert_eq!(of(vec![file(), named()]).unwrap().hang, Some(HangMode::UntilCancel));
        assert_eq!(of(vec![Part::text("hello"), named()]), None);
        assert_eq!(of(vec![file()]), None);
    }
}
