//! Folding the events of a stream yields the snapshot, in every older dialect.

use super::{LEGACY, raw};
use crate::samples;
use longhaul_domain::{
    ArtifactUpdate, EntryBody, LogEntry, Message, MessageId, Part, Role, Seq, TaskState,
    log::{StatusChange, UserMessage},
};
use longhaul_wire::{ResultPayload, StreamEvent, v0::LegacyForm};
use serde_json::{Value, json};

fn asking(state: TaskState, text: &str) -> EntryBody {
    let id = MessageId::new(text).unwrap();
    let message = Message::new(id, Role::Agent, vec![Part::text(text)]);
    EntryBody::Status(StatusChange::with(state, Some(message)))
}

fn chunk(artifact: &str, text: &str, append: bool) -> EntryBody {
    let mut whole = samples::artifact();
    whole.artifact_id = longhaul_domain::ArtifactId::new(artifact).unwrap();
    whole.parts = vec![Part::text(text)];
    EntryBody::Artifact(ArtifactUpdate {
        append,
        last_chunk: false,
        ..ArtifactUpdate::complete(whole)
    })
}

fn log() -> Vec<EntryBody> {
    let user = |id: &str| {
        let message = samples::message(id, Role::User);
        EntryBody::Message(UserMessage::new(message))
    };
    vec![
        user("m1"),
        EntryBody::Status(StatusChange::to(TaskState::Working)),
        chunk("one", "lost", false),
        chunk("two", "a", false),
        chunk("two", "b", true),
        chunk("one", "kept", false),
        asking(TaskState::InputRequired, "question"),
        user("m2"),
        EntryBody::Status(StatusChange::to(TaskState::Submitted)),
        chunk("three", "c", false),
        chunk("two", "d", true),
        asking(TaskState::Completed, "done"),
    ]
}

/// Client that knows nothing but the dialect.
struct StreamFolder {
    form: LegacyForm,
    status: Value,
    artifacts: Vec<Value>,
    finals: usize,
}

impl StreamFolder {
    fn take(&mut self, frame: &Value) {
        let frame = match self.form {
            LegacyForm::V0_3Proto => frame.as_object().unwrap().values().next().unwrap(),
            LegacyForm::V0_3 | LegacyForm::V0_1 => frame,
        };
        if let Some(list) = frame.get("artifacts") {
            self.artifacts = list.as_array().unwrap().clone();
        }
        if let Some(status) = frame.get("status") {
            self.status = status.clone();
            self.finals += usize::from(frame.get("final") == Some(&json!(true)));
        }
        if let Some(artifact) = frame.get("artifact") {
            let append = match self.form {
                LegacyForm::V0_1 => artifact.get("append"),
                LegacyForm::V0_3 | LegacyForm::V0_3Proto => frame.get("append"),
            };
            self.merge(artifact.clone(), append == Some(&json!(true)));
        }
    }

    fn merge(&mut self, mut artifact: Value, append: bool) {
        let name = if self.form == LegacyForm::V0_1 { "index" } else { "artifactId" };
        // Chunk flags are not part of the artifact.
        for said in ["append", "lastChunk"] {
            artifact.as_object_mut().unwrap().remove(said);
        }
        let there = self.artifacts.iter_mut().find(|there| there[name] == artifact[name]);
        match there {
            Some(there) if append => {
                let parts = artifact["parts"].as_array().unwrap().clone();
                there["parts"].as_array_mut().unwrap().extend(parts);
            }
            Some(there) => *there = artifact,
            None => self.artifacts.push(artifact),
        }
    }
}

#[test]
fn folding_a_stream_yields_the_snapshot_from_every_start() {
    for (dialect, form) in LEGACY {
        let entries: Vec<LogEntry> = (1..)
            .zip(log())
            .map(|(seq, body)| LogEntry { seq: Seq(seq), at: samples::time(), attempt: 1, body })
            .collect();
        for begin in 1..=entries.len() {
            let mut task = samples::bare_task();
            for entry in &entries[..begin] {
                task.apply(entry.clone()).unwrap();
            }
            let mut events = vec![StreamEvent::Task(Box::new(task.clone()))];
            for entry in &entries[begin..] {
                events.extend(StreamEvent::from_entry(task.key, &task.context, entry));
                task.apply(entry.clone()).unwrap();
            }
            let mut folder =
                StreamFolder { form, status: Value::Null, artifacts: vec![], finals: 0 };
            let mut frames = dialect.frames(None);
            for event in &events {
                for frame in frames.encode(event) {
                    folder.take(&serde_json::from_str(raw(&frame).get()).unwrap());
                }
            }
            let snapshot: Value =
                serde_json::from_str(raw(&dialect.view(ResultPayload::Task(&task))).get()).unwrap();
            assert_eq!(folder.status, snapshot["status"], "{form:?} from {begin}");
            assert_eq!(json!(folder.artifacts), snapshot["artifacts"], "{form:?} from {begin}");
        }
    }
}

#[test]
fn only_the_last_event_of_a_stream_is_final() {
    for (dialect, form) in LEGACY {
        let mut finals = Vec::new();
        for state in TaskState::ALL {
            let event = StreamEvent::Status(longhaul_wire::StatusEvent {
                task: samples::task_id(),
                context: samples::context(),
                change: StatusChange::to(state),
                at: samples::time(),
            });
            let frame: Value =
                serde_json::from_str(raw(&dialect.frames(None).encode(&event)[0]).get()).unwrap();
            let event = if form == LegacyForm::V0_3Proto { &frame["statusUpdate"] } else { &frame };
            if event["final"] == json!(true) {
                finals.push(state);
            } else if form != LegacyForm::V0_3Proto {
                assert_eq!(event["final"], json!(false));
            }
            assert_eq!(
                event["final"] == json!(true),
                dialect.wait_end().ends_stream(state),
                "{state}"
            );
        }
        let parked = [TaskState::InputRequired, TaskState::AuthRequired];
        let parked: Vec<_> = finals.iter().filter(|state| parked.contains(state)).collect();
        assert_eq!(parked.len(), if form == LegacyForm::V0_3Proto { 1 } else { 2 }, "{form:?}");
    }
}
