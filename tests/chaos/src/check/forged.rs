//! Each promise broken on purpose, in records: the checker must see every one of them, and nothing in sound records.

use super::{Rule, check, step_name};
use crate::{
    journal::{Sign, What},
    kind::{Kind, Order},
    records::{Cancel, Entry, Event, Stored, Subscription, TaskRecord, Told},
};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;

/// A checkpointed task of two steps: run `a` did the first and was lost, run `b` did the second and completed.
fn sound() -> TaskRecord {
    let order = Order { kind: Kind::Checkpointed, count: 2, pause_ms: 0, delay_ms: 0 };
    let log = vec![
        entry(1, 1, "message", json!({"message": {"parts": [{"text": order.text()}]}})),
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
        told: Some(Told {
            order,
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
        stored: Some(Stored {
            state: "completed".to_owned(),
            last_seq: 6,
            runs: 0,
            dead_letters: 0,
            log,
            checkpoints: vec![(step_name(1), 3 * SECOND), (step_name(2), 10 * SECOND)],
        }),
        replayed: events,
        snapshot,
        signs: vec![begun("a", 2), effect("a", 1, 3), begun("b", 9), effect("b", 2, 10)],
    }
}

fn entry(seq: i64, at: i64, kind: &str, body: Value) -> Entry {
    Entry { seq, at: at * SECOND, kind: kind.to_owned(), body }
}

fn event(seq: i64, json: &Value) -> Event {
    Event { seq, text: json.to_string() }
}

fn status(state: &str, at: i64) -> Value {
    json!({"statusUpdate": {"status": {"state": format!("TASK_STATE_{state}"), "timestamp": at}}})
}

fn chunk(id: &str, part: i64) -> Value {
    json!({"artifactUpdate": {"artifact": {"artifactId": id, "parts": [{"data": part}]}}})
}

fn sign(run: &str, at: i64, what: What) -> Sign {
    Sign { at: at * SECOND - SECOND / 2, pid: 1, run: run.to_owned(), task: "t".to_owned(), what }
}

fn begun(run: &str, at: i64) -> Sign {
    sign(run, at, What::Begun { attempt: 1, turn: 1 })
}

fn effect(run: &str, step: u64, at: i64) -> Sign {
    sign(run, at, What::Effect { step: step_name(step) })
}

/// The rules that a change breaks.
fn broken(change: impl FnOnce(&mut TaskRecord)) -> Vec<Rule> {
    let mut record = sound();
    change(&mut record);
    let mut rules: Vec<Rule> = check(&record).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

fn stored(record: &mut TaskRecord) -> &mut Stored {
    record.stored.as_mut().expect("it is stored")
}

fn told(record: &mut TaskRecord) -> &mut Told {
    record.told.as_mut().expect("it was told")
}

fn reader(record: &mut TaskRecord) -> &mut Subscription {
    &mut told(record).subscriptions[0]
}

#[test]
fn sound_records_are_sound() {
    assert_eq!(check(&sound()), []);
    assert_eq!(broken(|record| record.told = None), [], "a task that no client heard of");
}

#[test]
fn a_lost_task() {
    assert_eq!(broken(|record| record.stored = None), [Rule::NotLost]);
}

#[test]
fn a_task_that_goes_on_for_ever() {
    let rules = broken(|record| {
        stored(record).state = "working".to_owned();
        stored(record).log.truncate(5);
        stored(record).last_seq = 5;
        record.replayed.truncate(3);
        record.snapshot["status"] = status("WORKING", 2)["statusUpdate"]["status"].clone();
        reader(record).complete = false;
        reader(record).events.truncate(1);
    });
    assert_eq!(rules, [Rule::Ended]);
}

#[test]
fn a_task_that_ends_otherwise_than_its_kind() {
    let rules = broken(|record| told(record).order.kind = Kind::Failing);
    assert_eq!(rules, [Rule::RightEnd]);
    let rules = broken(|record| record.snapshot["status"]["state"] = json!("TASK_STATE_FAILED"));
    assert!(rules.contains(&Rule::RightEnd), "GetTask says otherwise: {rules:?}");
}

#[test]
fn a_message_that_made_two_tasks() {
    assert_eq!(broken(|record| told(record).other_tasks.push("u".into())), [Rule::OneTask]);
}

#[test]
fn a_gap_in_the_log() {
    let rules = broken(|record| {
        stored(record).log.remove(3);
    });
    assert_eq!(rules, [Rule::Gapless]);
    assert_eq!(broken(|record| stored(record).last_seq = 7), [Rule::Gapless]);
}

#[test]
fn two_terminal_statuses() {
    let rules = broken(|record| stored(record).log[1].body = json!({"state": "canceled"}));
    assert_eq!(rules, [Rule::OneEnd]);
}

#[test]
fn an_entry_behind_the_end() {
    let rules = broken(|record| {
        stored(record).log.push(entry(7, 12, "note", json!({"note": "worker-lost"})));
        stored(record).last_seq = 7;
    });
    assert_eq!(rules, [Rule::OneEnd]);
}

#[test]
fn a_run_left_in_the_queue_and_a_dead_letter_of_a_living_task() {
    assert_eq!(broken(|record| stored(record).runs = 1), [Rule::NoRunLeft]);
    assert_eq!(broken(|record| stored(record).dead_letters = 1), [Rule::DeadLetters]);
}

#[test]
fn runs_that_write_in_turns() {
    let run = |record: &mut TaskRecord, place: usize, run: &str| {
        stored(record).log[place].body["metadata"] = json!({"run": run});
    };
    let rules = broken(|record| {
        run(record, 2, "b");
        run(record, 4, "a");
    });
    assert_eq!(rules, [Rule::Fenced]);
}

#[test]
fn a_write_after_the_next_run_had_begun() {
    assert_eq!(broken(|record| stored(record).log[2].at = 9 * SECOND), [Rule::Fenced]);
}

#[test]
fn a_write_of_a_run_that_never_was() {
    assert_eq!(broken(|record| drop(record.signs.remove(0))), [Rule::Fenced]);
}

#[test]
fn an_event_seen_twice() {
    let rules = broken(|record| {
        let again = reader(record).events[0].clone();
        reader(record).events.insert(1, again);
    });
    assert_eq!(rules, [Rule::ExactStream]);
}

#[test]
fn an_event_missed() {
    let rules = broken(|record| {
        reader(record).events.remove(0);
    });
    assert_eq!(rules, [Rule::ExactStream]);
    let rules = broken(|record| {
        reader(record).complete = false;
        reader(record).events.remove(0);
    });
    assert_eq!(rules, [Rule::ExactStream], "a gap is one too in a stream that was cut");
    let rules = broken(|record| {
        record.replayed.remove(1);
    });
    assert_eq!(rules, [Rule::ExactStream], "the log has it, the stream has not");
}

#[test]
fn an_event_that_reads_differently() {
    let rules = broken(|record| reader(record).events[0].text = chunk("step-2", 7).to_string());
    assert_eq!(rules, [Rule::ExactStream]);
}

#[test]
fn a_stream_that_was_cut_is_the_beginning_of_the_log() {
    let rules = broken(|record| {
        reader(record).complete = false;
        reader(record).events.truncate(1);
    });
    assert_eq!(rules, []);
}

#[test]
fn a_fold_that_is_not_the_snapshot() {
    let rules = broken(|record| record.snapshot["artifacts"][0]["parts"] = json!([]));
    assert_eq!(rules, [Rule::Fold]);
    let rules = broken(|record| {
        record.snapshot["history"] = json!([{"role": "ROLE_AGENT", "parts": []}]);
    });
    assert_eq!(rules, [Rule::Fold]);
    let rules = broken(|record| {
        if let Some((seq, _)) = &mut reader(record).snapshot {
            *seq = 2;
        }
        let missed = record.replayed[1].clone();
        reader(record).events.insert(0, missed);
    });
    assert_eq!(rules, [Rule::Fold], "a snapshot with a cursor of before");
}

#[test]
fn an_effect_repeated_after_its_commit() {
    let repeated = |record: &mut TaskRecord| record.signs.push(effect("b", 1, 10));
    assert_eq!(broken(repeated), [Rule::StepOnce]);
    let zombie = |record: &mut TaskRecord| record.signs.push(effect("a", 2, 11));
    assert_eq!(broken(zombie), [], "a frozen run cannot know, and cannot commit");
    let twice = |record: &mut TaskRecord| record.signs.push(effect("b", 2, 10));
    assert_eq!(broken(twice), [Rule::StepOnce], "one run, one step, twice");
}

#[test]
fn a_completed_task_without_an_effect() {
    let rules = broken(|record| {
        record.signs.remove(3);
    });
    assert_eq!(rules, [Rule::StepDone]);
    let rules = broken(|record| {
        stored(record).checkpoints.pop();
    });
    assert_eq!(rules, [Rule::StepDone]);
}

#[test]
fn a_start_before_its_time() {
    assert_eq!(broken(|record| told(record).not_before = Some(2 * SECOND)), [Rule::NotBefore]);
    assert_eq!(broken(|record| told(record).not_before = Some(SECOND)), []);
}

#[test]
fn answers_that_make_no_sense_and_none_at_all() {
    assert_eq!(broken(|record| told(record).complaints.push("500".into())), [Rule::Answers]);
    assert_eq!(broken(|record| told(record).done = false), [Rule::Answers]);
}
