use super::{line_writer::MAX_PROGRESS_CHARS, *};
use chrono::FixedOffset;
use longhaul_wire::v1::received_event;
use serde_json::{Value, json, value::to_raw_value};

const UTC: FixedOffset = match FixedOffset::east_opt(0) {
    Some(utc) => utc,
    None => panic!("no offset is an offset"),
};

fn read(event: &Value) -> ReceivedEvent {
    received_event(&to_raw_value(event).unwrap()).unwrap()
}

fn render(terminal: bool, folder: Option<OutputFolder>, events: &[Value]) -> String {
    let mut out = Vec::new();
    let mut screen = TaskScreen::new(&mut out, Style { terminal, offset: UTC }, folder);
    for event in events {
        screen.show(&read(event)).unwrap();
    }
    screen.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn agent_message(text: &str) -> Value {
    json!({"messageId": text.get(..8).unwrap_or(text), "role": "ROLE_AGENT", "parts": [{"text": text}]})
}

fn status(second: u32, state: &str, text: Option<&str>) -> Value {
    let mut status = json!({"state": format!("TASK_STATE_{state}"), "timestamp": format!("2026-01-02T03:04:{second:02}.000Z")});
    if let Some(text) = text {
        status["message"] = agent_message(text);
    }
    json!({"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": status}})
}

fn chunk(id: &str, append: bool, parts: &Value) -> Value {
    let artifact = json!({"artifactId": id, "name": "pages", "parts": parts});
    json!({"artifactUpdate": {"taskId": "t1", "contextId": "c1", "artifact": artifact, "append": append}})
}

fn task(state: &str, artifacts: &Value) -> Value {
    let status =
        json!({"state": format!("TASK_STATE_{state}"), "timestamp": "2026-01-02T03:04:01.000Z"});
    json!({"task": {"id": "t1", "contextId": "c1", "status": status, "artifacts": artifacts}})
}

#[test]
fn a_task_reads_from_top_to_bottom() {
    let events = [
        task("SUBMITTED", &json!([])),
        status(2, "WORKING", None),
        status(3, "WORKING", Some("page 1 of 2")),
        chunk("a1", false, &json!([{"text": "Once upon"}])),
        chunk("a1", true, &json!([{"text": " a time"}, {"data": {"page": 1}}])),
        status(4, "WORKING", Some("page 2 of 2")),
        chunk("a1", true, &json!([{"raw": "AAAA", "mediaType": "image/png", "filename": "p.png"}])),
        chunk("a2", false, &json!([{"url": "https://host/x.pdf", "mediaType": "application/pdf"}])),
        status(5, "COMPLETED", Some("done\nin two lines")),
    ];
    assert_eq!(
        render(false, None, &events),
        "task t1  context c1
03:04:01  submitted
03:04:02  working
03:04:03  working         page 1 of 2
artifact pages [a1]
Once upon a time
  {\"page\":1}
03:04:04  working         page 2 of 2
artifact pages [a1] (continued)
  p.png image/png, 3 bytes (--output DIR saves it)
artifact pages [a2]
  file application/pdf: https://host/x.pdf
03:04:05  completed       done
    in two lines
"
    );
}

#[test]
fn progress_is_updated_in_place_on_a_terminal() {
    let events = [
        status(1, "WORKING", Some("1 %")),
        status(2, "WORKING", Some("99 %")),
        status(3, "COMPLETED", None),
    ];
    assert_eq!(
        render(true, None, &events),
        "03:04:01  working         1 %\r\u{1b}[2K03:04:02  working         99 %\n03:04:03  completed\n"
    );
}

#[test]
fn a_long_progress_line_is_truncated() {
    let text = render(true, None, &[status(1, "WORKING", Some(&"x".repeat(500)))]);
    assert_eq!(text.trim_end().chars().count(), MAX_PROGRESS_CHARS);
}

#[test]
fn a_snapshot_shows_only_new_parts() {
    let both = json!([{"artifactId": "a1", "parts": [{"text": "one "}, {"text": "two"}]}]);
    let events = [
        task("WORKING", &json!([])),
        chunk("a1", false, &json!([{"text": "one "}])),
        task("WORKING", &both),
        task("WORKING", &both),
        status(9, "COMPLETED", None),
    ];
    assert_eq!(
        render(false, None, &events),
        "task t1  context c1
03:04:01  working
artifact pages [a1]
one 
artifact [a1] (continued)
two
03:04:09  completed
"
    );
}

#[test]
fn a_replaced_artifact_is_marked() {
    let events = [
        chunk("a1", false, &json!([{"text": "lost"}])),
        chunk("a1", false, &json!([{"text": "kept"}])),
    ];
    assert_eq!(
        render(false, None, &events),
        "artifact pages [a1]\nlost\nartifact pages [a1] (from the start again)\nkept\n"
    );
}

#[test]
fn files_are_saved_in_the_folder() {
    let place = tempfile::tempdir().unwrap();
    let parts = json!([{"raw": "aGVsbG8=", "filename": "../a.txt"}]);
    let folder = OutputFolder::open(place.path()).unwrap();
    let text = render(false, Some(folder), &[chunk("a1", false, &parts)]);
    assert_eq!(std::fs::read(place.path().join("a.txt")).unwrap(), b"hello");
    assert!(text.contains("5 bytes, saved as "), "{text}");
}

#[test]
fn artifacts_of_every_kind_are_saved_and_summarized() {
    let place = tempfile::tempdir().unwrap();
    let values = Value::Array((0..40).map(|page| json!({"data": {"page": page}})).collect());
    let events = [
        chunk("a1", false, &values),
        chunk("a1", true, &json!([{"text": "Once upon"}, {"text": " a time"}])),
        chunk("a2", false, &json!([{"raw": "AAAA", "mediaType": "image/png"}])),
    ];
    let text = render(true, Some(OutputFolder::open(place.path()).unwrap()), &events);
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    assert_eq!(read("pages.jsonl").lines().count(), 40);
    assert_eq!(read("pages.txt"), "Once upon a time");
    assert_eq!(std::fs::read(place.path().join("pages.png")).unwrap(), [0, 0, 0]);
    assert!(text.contains("40 values, ") && text.contains("pages.jsonl"), "{text}");
    assert!(!text.contains("Once") && text.lines().count() < 8, "{text}");
}

#[test]
fn a_terminal_shows_only_some_values() {
    let values = Value::Array((0..40).map(|_| json!({"data": "x".repeat(2_000)})).collect());
    let event = [chunk("a1", false, &values)];
    let text = render(true, None, &event);
    assert!(text.len() < 4_000 && text.contains("… and 30 more values, 80.0 kB in all"), "{text}");
    assert!(text.contains("… (2.0 kB; --output DIR saves it)"), "{text}");
    assert!(render(false, None, &event).len() > 80_000, "a file gets all of it");
}

#[test]
fn a_failure_is_shown_with_its_cause() {
    let mut failed = status(1, "FAILED", Some("it went wrong"));
    let facts = json!({"because": "attempts-used-up", "cause": "the disk is full", "attempts": 3});
    failed["statusUpdate"]["status"]["message"]["metadata"] =
        json!({"urn:longhaul:a2a:durability:v1": facts});
    assert_eq!(
        render(false, None, &[failed]),
        "03:04:01  failed          it went wrong\n          attempts-used-up after 3 attempts: the disk is full\n"
    );
}

#[test]
fn a_direct_reply_is_shown_with_its_sender() {
    assert_eq!(render(false, None, &[json!({"message": agent_message("hi")})]), "agent: hi\n");
}

#[test]
fn a_server_cannot_steer_the_terminal() {
    let events = [
        status(1, "COMPLETED", Some("\u{1b}[2J")),
        chunk("a1", false, &json!([{"text": "\u{1b}]0;title\u{7}"}])),
    ];
    assert!(!render(true, None, &events).contains('\u{1b}'));
}
