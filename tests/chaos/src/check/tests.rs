//! Records with one broken promise each: the checker must report it, and nothing in valid records.

use super::{Promise, check, step_name};
use crate::{
    journal::{ExecutorAction, JournalEntry},
    records::{Cancel, ClientView, LogEntry, StoredTask, StreamEvent, Subscription, TaskRecord},
    scenario::{Scenario, ScenarioKind},
};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;

/// A checkpointed task of two steps: run `a` committed the first and was lost, run `b` committed
/// the second and completed.
fn valid_record() -> TaskRecord {
    let scenario =
        Scenario { kind: ScenarioKind::Checkpointed, count: 2, pause_ms: 0, delay_ms: 0 };
    let log = vec![
        entry(1, 1, "message", json!({"message": {"parts": [{"text": scenario.text()}]}})),
        entry(2, 2, "status", json!({"state": "working"})),
        entry(
            3,
            3,
            "artifact",
            json!({"artifact": {"artifactId": "step-1"}, "metadata": {"run": "a"}}),
        ),
        entry(4, 8, "note", json!({"note": "worker-lost"})),
        entry(
            5,
            10,
            "artifact",
            json!({"artifact": {"artifactId": "step-2"}, "metadata": {"run": "b"}}),
        ),
        entry(
            6,
            11,
            "status",
            json!({"state": "completed", "message": {"metadata": {"run": "b"}}}),
        ),
    ];
    let events = vec![
        event(2, &status("WORKING", 2)),
        event(3, &chunk("step-1", 3)),
        event(5, &chunk("step-2", 5)),
        event(6, &status("COMPLETED", 6)),
    ];
    let artifact = |id: &str, n: i64| chunk(id, n)["artifactUpdate"]["artifact"].clone();
    let end = status("COMPLETED", 6)["statusUpdate"]["status"].clone();
    let snapshot = json!({
        "status": end, "artifacts": [artifact("step-1", 3), artifact("step-2", 5)],
        "history": [{"role": "ROLE_USER"}],
    });
    let early = json!({
        "status": status("WORKING", 2)["statusUpdate"]["status"], "artifacts": [artifact("step-1", 3)],
    });
    TaskRecord {
        task: "t".to_owned(),
        client_view: Some(ClientView {
            scenario,
            not_before: None,
            subscriptions: vec![Subscription {
                name: "reader".to_owned(),
                snapshot: Some((3, early)),
                events: events[2..].to_vec(),
                complete: true,
                connections: 2,
            }],
            cancels: vec![Cancel::default()],
            other_tasks: Vec::new(),
            complaints: Vec::new(),
            done: true,
        }),
        stored: Some(StoredTask {
            state: "completed".to_owned(),
            last_seq: 6,
            runs: 0,
            dead_letters: 0,
            log,
            checkpoints: vec![(step_name(1), 3 * SECOND), (step_name(2), 10 * SECOND)],
        }),
        replayed: events,
        snapshot,
        journal_entries: vec![
            started("a", 2),
            effect("a", 1, 3),
            started("b", 9),
            effect("b", 2, 10),
        ],
    }
}

fn entry(seq: i64, at: i64, kind: &str, body: Value) -> LogEntry {
    LogEntry { seq, at: at * SECOND, kind: kind.to_owned(), body }
}

fn event(seq: i64, json: &Value) -> StreamEvent {
    StreamEvent { seq, text: json.to_string() }
}

fn status(state: &str, at: i64) -> Value {
    json!({"statusUpdate": {"status": {"state": format!("TASK_STATE_{state}"), "timestamp": at}}})
}

fn chunk(id: &str, part: i64) -> Value {
    json!({"artifactUpdate": {"artifact": {"artifactId": id, "parts": [{"data": part}]}}})
}

fn action(run: &str, at: i64, what: ExecutorAction) -> JournalEntry {
    JournalEntry {
        at: at * SECOND - SECOND / 2,
        pid: 1,
        run: run.to_owned(),
        task: "t".to_owned(),
        what,
    }
}

fn started(run: &str, at: i64) -> JournalEntry {
    action(run, at, ExecutorAction::Started { attempt: 1, turn: 1 })
}

fn effect(run: &str, step: u64, at: i64) -> JournalEntry {
    action(run, at, ExecutorAction::Effect { step: step_name(step) })
}

/// The promises that a change breaks.
fn broken(change: impl FnOnce(&mut TaskRecord)) -> Vec<Promise> {
    let mut record = valid_record();
    change(&mut record);
    let mut promises: Vec<Promise> =
        check(&record).into_iter().map(|violation| violation.rule).collect();
    promises.dedup();
    promises
}

fn stored(record: &mut TaskRecord) -> &mut StoredTask {
    record.stored.as_mut().expect("it is stored")
}

fn client_view(record: &mut TaskRecord) -> &mut ClientView {
    record.client_view.as_mut().expect("it was told")
}

fn reader(record: &mut TaskRecord) -> &mut Subscription {
    &mut client_view(record).subscriptions[0]
}

#[test]
fn valid_records_have_no_violation() {
    assert_eq!(check(&valid_record()), []);
    assert_eq!(broken(|record| record.client_view = None), [], "a task that no client heard of");
}

#[test]
fn a_lost_task() {
    assert_eq!(broken(|record| record.stored = None), [Promise::NotLost]);
}

#[test]
fn a_task_that_never_ends() {
    let promises = broken(|record| {
        stored(record).state = "working".to_owned();
        stored(record).log.truncate(5);
        stored(record).last_seq = 5;
        record.replayed.truncate(3);
        record.snapshot["status"] = status("WORKING", 2)["statusUpdate"]["status"].clone();
        reader(record).complete = false;
        reader(record).events.truncate(1);
    });
    assert_eq!(promises, [Promise::Ended]);
}

#[test]
fn a_task_with_an_end_that_its_scenario_excludes() {
    let promises = broken(|record| client_view(record).scenario.kind = ScenarioKind::Failing);
    assert_eq!(promises, [Promise::RightEnd]);
    let promises = broken(|record| record.snapshot["status"]["state"] = json!("TASK_STATE_FAILED"));
    assert!(promises.contains(&Promise::RightEnd), "GetTask says otherwise: {promises:?}");
}

#[test]
fn a_message_that_made_two_tasks() {
    assert_eq!(
        broken(|record| client_view(record).other_tasks.push("u".into())),
        [Promise::OneTask]
    );
}

#[test]
fn a_gap_in_the_log() {
    let promises = broken(|record| {
        stored(record).log.remove(3);
    });
    assert_eq!(promises, [Promise::Gapless]);
    assert_eq!(broken(|record| stored(record).last_seq = 7), [Promise::Gapless]);
}

#[test]
fn two_terminal_statuses() {
    let promises = broken(|record| stored(record).log[1].body = json!({"state": "canceled"}));
    assert_eq!(promises, [Promise::OneEnd]);
}

#[test]
fn an_entry_after_the_end() {
    let promises = broken(|record| {
        stored(record).log.push(entry(7, 12, "note", json!({"note": "worker-lost"})));
        stored(record).last_seq = 7;
    });
    assert_eq!(promises, [Promise::OneEnd]);
}

#[test]
fn a_run_left_in_the_queue_and_a_dead_letter_of_a_task_that_has_not_failed() {
    assert_eq!(broken(|record| stored(record).runs = 1), [Promise::NoRunLeft]);
    assert_eq!(broken(|record| stored(record).dead_letters = 1), [Promise::DeadLetters]);
}

#[test]
fn runs_that_write_alternately() {
    let set_run = |record: &mut TaskRecord, index: usize, run: &str| {
        stored(record).log[index].body["metadata"] = json!({"run": run});
    };
    let promises = broken(|record| {
        set_run(record, 2, "b");
        set_run(record, 4, "a");
    });
    assert_eq!(promises, [Promise::Fenced]);
}

#[test]
fn a_write_after_the_next_run_has_started() {
    assert_eq!(broken(|record| stored(record).log[2].at = 9 * SECOND), [Promise::Fenced]);
}

#[test]
fn a_write_of_a_run_that_never_started() {
    assert_eq!(broken(|record| drop(record.journal_entries.remove(0))), [Promise::Fenced]);
}

#[test]
fn an_event_seen_twice() {
    let promises = broken(|record| {
        let duplicate = reader(record).events[0].clone();
        reader(record).events.insert(1, duplicate);
    });
    assert_eq!(promises, [Promise::ExactStream]);
}

#[test]
fn an_event_missed() {
    let promises = broken(|record| {
        reader(record).events.remove(0);
    });
    assert_eq!(promises, [Promise::ExactStream]);
    let promises = broken(|record| {
        reader(record).complete = false;
        reader(record).events.remove(0);
    });
    assert_eq!(promises, [Promise::ExactStream], "a gap counts also in a stream that was cut");
    let promises = broken(|record| {
        record.replayed.remove(1);
    });
    assert_eq!(promises, [Promise::ExactStream], "the log has it, the stream does not");
}

#[test]
fn an_event_that_reads_differently() {
    let promises = broken(|record| reader(record).events[0].text = chunk("step-2", 7).to_string());
    assert_eq!(promises, [Promise::ExactStream]);
}

#[test]
fn a_stream_that_was_cut_may_be_a_prefix_of_the_log() {
    let promises = broken(|record| {
        reader(record).complete = false;
        reader(record).events.truncate(1);
    });
    assert_eq!(promises, []);
}

#[test]
fn a_fold_that_differs_from_the_snapshot() {
    let promises = broken(|record| record.snapshot["artifacts"][0]["parts"] = json!([]));
    assert_eq!(promises, [Promise::Fold]);
    let promises = broken(|record| {
        record.snapshot["history"] = json!([{"role": "ROLE_AGENT", "parts": []}]);
    });
    assert_eq!(promises, [Promise::Fold]);
    let promises = broken(|record| {
        if let Some((seq, _)) = &mut reader(record).snapshot {
            *seq = 2;
        }
        let missed = record.replayed[1].clone();
        reader(record).events.insert(0, missed);
    });
    assert_eq!(promises, [Promise::Fold], "a snapshot with an earlier cursor");
}

#[test]
fn an_effect_repeated_after_its_commit() {
    let repeated = |record: &mut TaskRecord| record.journal_entries.push(effect("b", 1, 10));
    assert_eq!(broken(repeated), [Promise::StepOnce]);
    let zombie = |record: &mut TaskRecord| record.journal_entries.push(effect("a", 2, 11));
    assert_eq!(broken(zombie), [], "a frozen run cannot know, and cannot commit");
    let twice = |record: &mut TaskRecord| record.journal_entries.push(effect("b", 2, 10));
    assert_eq!(broken(twice), [Promise::StepOnce], "one run, one step, twice");
}

#[test]
fn a_completed_task_without_an_effect() {
    let promises = broken(|record| {
        record.journal_entries.remove(3);
    });
    assert_eq!(promises, [Promise::StepDone]);
    let promises = broken(|record| {
        stored(record).checkpoints.pop();
    });
    assert_eq!(promises, [Promise::StepDone]);
}

#[test]
fn a_start_before_its_time() {
    assert_eq!(
        broken(|record| client_view(record).not_before = Some(2 * SECOND)),
        [Promise::NotBefore]
    );
    assert_eq!(broken(|record| client_view(record).not_before = Some(SECOND)), []);
}

#[test]
fn invalid_answers_and_missing_answers() {
    assert_eq!(
        broken(|record| client_view(record).complaints.push("500".into())),
        [Promise::Answers]
    );
    assert_eq!(broken(|record| client_view(record).done = false), [Promise::Answers]);
}
