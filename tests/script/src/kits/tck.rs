//! The A2A compatibility kit (`a2a-tck`). The beginning of a message's id chooses the behaviour,
//! for this message alone.

use super::artifacts::{chunks, data, file, file_url, longest, text};
use crate::plan::{Plan, PlanEnding};
use std::time::Duration;

/// The prefixes that the kit uses.
const NAMES: &[&str] = &[
    "tck-complete-task",
    "tck-artifact-text",
    "tck-artifact-file",
    "tck-artifact-file-url",
    "tck-artifact-data",
    "tck-message-response",
    "tck-input-required",
    "tck-reject-task",
    "tck-stream-001",
    "tck-stream-002",
    "tck-stream-003",
    "tck-stream-ordering-001",
    "tck-stream-artifact-text",
    "tck-stream-artifact-file",
    "tck-stream-artifact-chunked",
    RESUBSCRIBE,
];

/// A prefix of tasks that must still be working when the kit subscribes again.
const RESUBSCRIBE: &str = "test-resubscribe-message-id";

/// The plan for a message with this id.
pub(super) fn plan(stream_timeout: Duration, message_id: &str) -> Option<Plan> {
    let name = longest(NAMES, message_id)?;
    let end = |end, say: Option<&str>| Plan { end, say: say.map(str::to_owned), ..Plan::default() };
    let outputs = match name {
        "tck-artifact-text" => text("Generated text content"),
        "tck-artifact-file" | "tck-stream-artifact-file" => file(),
        "tck-artifact-file-url" => file_url(),
        "tck-artifact-data" => data(),
        "tck-stream-001" => text("Stream hello from TCK"),
        "tck-stream-003" => text("Stream task lifecycle"),
        "tck-stream-ordering-001" => text("Ordered output"),
        "tck-stream-artifact-text" => text("Streamed text content"),
        "tck-stream-artifact-chunked" => chunks(&["chunk-1 ", "chunk-2"]),
        _ => Vec::new(),
    };
    Some(match name {
        "tck-complete-task" => end(PlanEnding::Completed, Some("Hello from TCK")),
        "tck-message-response" => end(PlanEnding::Message, Some("Direct message response")),
        "tck-input-required" => end(PlanEnding::InputRequired, None),
        "tck-reject-task" => end(PlanEnding::Rejected, Some("rejected")),
        "tck-stream-002" => end(PlanEnding::Completed, Some("Stream completed")),
        RESUBSCRIBE => {
            let twice = stream_timeout.saturating_mul(2).as_millis();
            let delay_ms = u64::try_from(twice).unwrap_or(u64::MAX);
            Plan { delay_ms, ..end(PlanEnding::Completed, Some("Still here")) }
        }
        _ => Plan { outputs, ..Plan::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Content;

    fn of(id: &str) -> Plan {
        plan(Duration::from_secs(2), id).unwrap()
    }

    #[test]
    fn every_name_has_a_behaviour_of_its_own() {
        for name in NAMES {
            assert_ne!(of(&format!("{name}-1f2e3d4c-jsonrpc")), Plan::default(), "{name}");
        }
        for other in ["", "tck-", "tck-send-003", "tck-terminal", "my-tck-complete-task"] {
            assert_eq!(plan(Duration::from_secs(2), other), None, "{other}");
        }
    }

    #[test]
    fn endings_match_their_names() {
        for (id, end) in [
            ("tck-complete-task", PlanEnding::Completed),
            ("tck-message-response", PlanEnding::Message),
            ("tck-input-required", PlanEnding::InputRequired),
            ("tck-reject-task", PlanEnding::Rejected),
            ("tck-stream-002", PlanEnding::Completed),
        ] {
            assert_eq!(of(id).end, end, "{id}");
        }
        assert_eq!(of("tck-complete-task").say.as_deref(), Some("Hello from TCK"));
        assert_eq!(of("tck-message-response").say.as_deref(), Some("Direct message response"));
    }

    #[test]
    fn artifacts_hold_what_the_kit_looks_for() {
        let only = |id: &str| of(id).outputs.remove(0).chunks.remove(0);
        assert_eq!(only("tck-artifact-text").as_text(), Some("Generated text content"));
        let (by_value, by_reference) = (only("tck-artifact-file"), only("tck-artifact-file-url"));
        assert!(matches!(by_value.content, Content::Raw(_)));
        assert!(
            matches!(&by_reference.content, Content::Url(url) if url == "https://example.com/output.txt")
        );
        for part in [by_value, by_reference] {
            assert_eq!(part.filename.as_deref(), Some("output.txt"));
            assert_eq!(part.media_type.as_deref(), Some("text/plain"));
        }
        assert!(matches!(only("tck-artifact-data").content, Content::Data(_)));
        let chunked = of("tck-stream-artifact-chunked").outputs.remove(0).chunks;
        let texts: Vec<_> = chunked.iter().filter_map(|part| part.as_text()).collect();
        assert_eq!(texts, ["chunk-1 ", "chunk-2"]);
    }

    #[test]
    fn a_resubscribe_task_works_twice_as_long_as_the_kit_waits() {
        let plan = plan(Duration::from_millis(1500), "test-resubscribe-message-id-9").unwrap();
        assert_eq!((plan.delay_ms, plan.end), (3000, PlanEnding::Completed));
    }
}
