//! Streams of 0.1, which have no snapshots and identify artifacts by index.

use super::raw;
use crate::samples;
use longhaul_domain::{ArtifactId, Part, Role};
use longhaul_wire::{Dialect, StreamEvent, v0::ArtifactIndexes};
use serde_json::Value;

fn written(dialect: Dialect, events: &[StreamEvent]) -> Vec<Vec<Value>> {
    let shown = (dialect == Dialect::V0_1).then(|| "order-7".to_owned());
    let mut frames = dialect.frames(shown);
    let mut written = Vec::new();
    for event in events {
        let frames = frames.encode(event);
        written.push(frames.iter().map(|f| serde_json::from_str(raw(f).get()).unwrap()).collect());
    }
    written
}

fn two_artifacts() -> StreamEvent {
    let mut task = samples::task();
    let mut second = samples::artifact();
    second.artifact_id = ArtifactId::new("second").unwrap();
    second.parts = vec![Part::text("other")];
    task.artifacts.push(second);
    StreamEvent::Task(Box::new(task))
}

#[test]
fn a_snapshot_is_its_artifacts_and_then_its_status() {
    let frames = &written(Dialect::V0_1, &[two_artifacts()])[0];
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0]["artifact"]["index"], 0);
    assert_eq!(frames[1]["artifact"]["index"], 1);
    assert_eq!(frames[1]["artifact"]["parts"][0]["text"], "other");
    assert_eq!(frames[2]["status"]["state"], "input-required");
    assert_eq!(frames[2]["final"], true);
    for frame in frames {
        assert_eq!(frame["id"], "order-7");
        assert!(frame.get("artifacts").is_none());
    }
}

#[test]
fn an_artifact_keeps_its_index() {
    let mut new = samples::artifact_event();
    let StreamEvent::Artifact(event) = &mut new else { panic!("not an artifact") };
    event.update.artifact.artifact_id = ArtifactId::new("new").unwrap();
    let events = [two_artifacts(), samples::artifact_event(), new.clone(), new];
    let frames = written(Dialect::V0_1, &events);
    let places: Vec<&Value> = frames[1..].iter().map(|f| &f[0]["artifact"]["index"]).collect();
    assert_eq!(places, [&Value::from(0), &Value::from(2), &Value::from(2)]);
}

#[test]
fn a_resumed_stream_counts_earlier_artifacts() {
    let StreamEvent::Task(task) = two_artifacts() else { panic!("not a task") };
    let mut places = ArtifactIndexes::default();
    // Known artifacts keep their index, however often they appear.
    for artifact in task.artifacts.iter().chain(&task.artifacts) {
        places.index_of(&artifact.artifact_id);
    }
    let mut frames = Dialect::V0_1.frames(None);
    frames.skip_artifacts(places);
    let mut event = samples::artifact_event();
    for (id, place) in [("second", 1), ("new", 2), ("second", 1)] {
        let StreamEvent::Artifact(update) = &mut event else { panic!("not an artifact") };
        update.update.artifact.artifact_id = ArtifactId::new(id).unwrap();
        let written = raw(&frames.encode(&event)[0]);
        assert!(written.get().contains(&format!(r#""index":{place}"#)), "{written}");
    }
}

#[test]
fn a_direct_reply_is_a_completed_task() {
    let reply = StreamEvent::Message(samples::message("r1", Role::Agent));
    let frame = &written(Dialect::V0_1, &[reply])[0][0];
    assert_eq!(frame["id"], "order-7");
    assert_eq!(frame["status"]["state"], "completed");
    assert_eq!(frame["final"], true);
    assert!(!Dialect::V0_1.supports_direct_replies());
}

#[test]
fn in_every_other_dialect_an_event_is_one_frame() {
    for dialect in [Dialect::V1_0, Dialect::V0_3, Dialect::V0_3Proto] {
        let frames = written(dialect, &[two_artifacts(), samples::status_event()]);
        assert!(frames.iter().all(|frames| frames.len() == 1), "{dialect:?}");
    }
}

#[test]
fn numbering_many_artifacts_takes_linear_time() {
    // A quadratic encoder would not finish here.
    const MANY: usize = 200_000;
    let mut frames = Dialect::V0_1.frames(None);
    let mut event = samples::artifact_event();
    for number in (0..MANY).chain([7]) {
        let StreamEvent::Artifact(chunk) = &mut event else { panic!("not an artifact") };
        chunk.update.artifact.artifact_id =
            ArtifactId::new(format!("the-artifact-{number}")).unwrap();
        if number == MANY - 1 || number == 7 {
            let frame = raw(&frames.encode(&event)[0]);
            assert!(frame.get().contains(&format!(r#""index":{number}"#)), "{frame}");
        } else {
            frames.encode(&event);
        }
    }
}
