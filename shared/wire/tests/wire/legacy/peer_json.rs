//! JSON of a peer, in the shape of its schema, survives reading and writing byte for byte:
//! requests, messages, tasks and events.

use super::{LEGACY, raw, text};
use crate::strategies as any_of;
use longhaul_domain::{
    AgentName, ContextId, HistoryItem, OwnerId, Role, Seq, Task, TaskId, TaskKey, TaskState,
    TaskStatus, log::StatusChange,
};
use longhaul_wire::{
    ArtifactEvent, Dialect, Operation, ReceivedEvent, ReceivedSend, ReceivedTask, Request,
    SendOutcome, StatusEvent, StreamEvent,
    v0::{self, LegacyForm, V0},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

const CONTEXT: &str = "ctx-1";
/// Id that this server could have made, so that every dialect knows it.
const TASK: &str = "018f2f6e-7b7a-7000-8000-000000000001";

/// JSON string.
fn quoted() -> impl Strategy<Value = String> {
    any_of::text().prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn filled() -> impl Strategy<Value = String> {
    "[^\u{0}]{1,8}".prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn object() -> impl Strategy<Value = String> {
    any_of::object().prop_map(|object| object.as_str().to_owned())
}

/// Members that are set, in order.
fn members(list: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
    let there = list.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let list: Vec<String> = there.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", list.join(","))
}

fn array(list: &[String]) -> String {
    format!("[{}]", list.join(","))
}

fn some_array(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| array(list))
}

fn part(form: LegacyForm) -> impl Strategy<Value = String> {
    let tagged = move |kind: &str| {
        let tag = match form {
            LegacyForm::V0_3 => Some("kind"),
            LegacyForm::V0_1 => Some("type"),
            LegacyForm::V0_3Proto => None,
        };
        (tag.unwrap_or_default(), tag.map(|_| format!("\"{kind}\"")))
    };
    let with = move |kind: &'static str, value: String, metadata: Option<String>| {
        members([tagged(kind), (kind, Some(value)), ("metadata", metadata)])
    };
    let [bytes, uri] = match form {
        LegacyForm::V0_3Proto => ["fileWithBytes", "fileWithUri"],
        LegacyForm::V0_3 | LegacyForm::V0_1 => ["bytes", "uri"],
    };
    let content = prop_oneof![
        select(vec!["\"\"", "\"AA==\"", "\"+/8=\"", "\"QUJD\""])
            .prop_map(move |value| (bytes, value.to_owned())),
        filled().prop_map(move |value| (uri, value)),
    ];
    let file = (content, option::of(filled()), option::of(filled())).prop_map(
        |((name, value), media_type, filename)| {
            members([(name, Some(value)), ("mimeType", media_type), ("name", filename)])
        },
    );
    let data = object().prop_map(move |data| match form {
        LegacyForm::V0_3Proto => format!(r#"{{"data":{data}}}"#),
        LegacyForm::V0_3 | LegacyForm::V0_1 => data,
    });
    prop_oneof![
        (quoted(), option::of(object())).prop_map(move |(text, more)| with("text", text, more)),
        (file, option::of(object())).prop_map(move |(file, more)| with("file", file, more)),
        (data, option::of(object())).prop_map(move |(data, more)| with("data", data, more)),
    ]
}

fn message(form: LegacyForm, role: Role, parts: usize) -> impl Strategy<Value = String> {
    let more = (vec(quoted(), 0..2), vec(quoted(), 0..2));
    (filled(), vec(part(form), parts..4), option::of(object()), more).prop_map(
        move |(id, parts, metadata, (extensions, references))| {
            let first = form == LegacyForm::V0_1;
            members([
                ("kind", (form == LegacyForm::V0_3).then(|| r#""message""#.to_owned())),
                ("messageId", (!first).then_some(id)),
                ("contextId", (!first).then(|| format!("\"{CONTEXT}\""))),
                ("taskId", (!first).then(|| format!("\"{TASK}\""))),
                ("role", Some(format!("\"{}\"", form.role_name(role)))),
                (
                    if form == LegacyForm::V0_3Proto { "content" } else { "parts" },
                    Some(array(&parts)),
                ),
                ("metadata", metadata),
                ("extensions", some_array(&extensions).filter(|_| !first)),
                ("referenceTaskIds", some_array(&references).filter(|_| form == LegacyForm::V0_3)),
            ])
        },
    )
}

/// Artifact with its index; in 0.1 it carries the chunk flags.
fn artifact(form: LegacyForm, index: usize, chunk: (bool, bool)) -> impl Strategy<Value = String> {
    let about = (option::of(filled()), option::of(filled()));
    let parts = vec(part(form), 0..3);
    (about, parts, option::of(object()), vec(quoted(), 0..2)).prop_map(
        move |((name, description), parts, metadata, extensions)| {
            let first = form == LegacyForm::V0_1;
            let flag = |on: bool| (on && first).then(|| "true".to_owned());
            members([
                ("artifactId", (!first).then(|| format!("\"a{index}\""))),
                ("name", name),
                ("description", description),
                ("parts", Some(array(&parts))),
                ("metadata", metadata),
                ("index", first.then(|| index.to_string())),
                ("append", flag(chunk.0)),
                ("lastChunk", flag(chunk.1)),
                ("extensions", some_array(&extensions).filter(|_| !first)),
            ])
        },
    )
}

fn state(form: LegacyForm) -> impl Strategy<Value = TaskState> {
    let known = |state: &TaskState| {
        form != LegacyForm::V0_1 || !matches!(state, TaskState::Rejected | TaskState::AuthRequired)
    };
    select(TaskState::ALL.into_iter().filter(known).collect::<Vec<_>>())
}

fn status(form: LegacyForm) -> impl Strategy<Value = (TaskState, String)> {
    (state(form), option::of(message(form, Role::Agent, 0))).prop_map(move |(state, said)| {
        let shown = members([
            ("state", Some(format!("\"{}\"", form.state_name(state)))),
            ("message", said),
            ("timestamp", Some(r#""2026-02-03T04:05:06.007Z""#.to_owned())),
        ]);
        (state, shown)
    })
}

const fn context_name(form: LegacyForm) -> &'static str {
    if matches!(form, LegacyForm::V0_1) { "sessionId" } else { "contextId" }
}

fn task(form: LegacyForm) -> impl Strategy<Value = String> {
    let artifacts = (artifact(form, 0, (false, false)), artifact(form, 1, (false, false)));
    let history = vec(message(form, Role::User, 0), 0..3);
    (status(form), option::of(artifacts), history, option::of(object())).prop_map(
        move |((_, status), artifacts, history, metadata)| {
            members([
                ("kind", (form == LegacyForm::V0_3).then(|| r#""task""#.to_owned())),
                ("id", Some(format!("\"{TASK}\""))),
                (context_name(form), Some(format!("\"{CONTEXT}\""))),
                ("status", Some(status)),
                ("artifacts", artifacts.map(|(one, two)| array(&[one, two]))),
                ("history", some_array(&history)),
                ("metadata", metadata),
            ])
        },
    )
}

/// Task as its server has it.
fn domain_task(shown: ReceivedTask) -> Task {
    let id: TaskId = TASK.parse().unwrap();
    let at = shown.status.at.unwrap();
    let key = TaskKey { owner: OwnerId(1), task: id };
    let mut task = Task::begin(key, AgentName::new("a").unwrap(), shown.context.unwrap(), at);
    let seq = Seq(1);
    task.status = TaskStatus { state: shown.status.state, message: shown.status.message, at, seq };
    task.history =
        shown.history.into_iter().map(|message| HistoryItem { seq: Seq(1), message }).collect();
    (task.artifacts, task.metadata) = (shown.artifacts, shown.metadata);
    task
}

/// Event as its server has it.
fn domain_event(event: ReceivedEvent) -> StreamEvent {
    let (task, context) = (TASK.parse().unwrap(), ContextId::new(CONTEXT).unwrap());
    match event {
        ReceivedEvent::Task(shown) => StreamEvent::Task(Box::new(domain_task(*shown))),
        ReceivedEvent::Message(message) => StreamEvent::Message(message),
        ReceivedEvent::Status(event) => {
            let change = StatusChange {
                state: event.status.state,
                message: event.status.message,
                metadata: event.metadata,
                direct: false,
                failed: None,
            };
            let at = event.status.at.unwrap();
            StreamEvent::Status(StatusEvent { task, context, change, at })
        }
        ReceivedEvent::Artifact(event) => {
            StreamEvent::Artifact(ArtifactEvent { task, context, update: event.update })
        }
    }
}

fn event_of(form: LegacyForm, name: &str, event: String) -> String {
    if form == LegacyForm::V0_3Proto { format!("{{\"{name}\":{event}}}") } else { event }
}

fn status_event(form: LegacyForm) -> impl Strategy<Value = String> {
    (status(form), option::of(object())).prop_map(move |((state, status), metadata)| {
        let last = form.wait_end().ends_stream(state);
        let event = members([
            ("kind", (form == LegacyForm::V0_3).then(|| r#""status-update""#.to_owned())),
            (if form == LegacyForm::V0_1 { "id" } else { "taskId" }, Some(format!("\"{TASK}\""))),
            ("contextId", (form != LegacyForm::V0_1).then(|| format!("\"{CONTEXT}\""))),
            ("status", Some(status)),
            ("final", Some(last.to_string()).filter(|_| last || form != LegacyForm::V0_3Proto)),
            ("metadata", metadata),
        ]);
        event_of(form, "statusUpdate", event)
    })
}

fn artifact_event(form: LegacyForm) -> impl Strategy<Value = String> {
    (any::<(bool, bool)>(), option::of(object())).prop_flat_map(move |(chunk, metadata)| {
        artifact(form, 0, chunk).prop_map(move |artifact| {
            let flag = |on: bool| (on && form != LegacyForm::V0_1).then(|| "true".to_owned());
            let event = members([
                ("kind", (form == LegacyForm::V0_3).then(|| r#""artifact-update""#.to_owned())),
                (
                    if form == LegacyForm::V0_1 { "id" } else { "taskId" },
                    Some(format!("\"{TASK}\"")),
                ),
                ("contextId", (form != LegacyForm::V0_1).then(|| format!("\"{CONTEXT}\""))),
                ("artifact", Some(artifact)),
                ("append", flag(chunk.0)),
                ("lastChunk", flag(chunk.1)),
                ("metadata", metadata.clone()),
            ]);
            event_of(form, "artifactUpdate", event)
        })
    })
}

/// Parameters of a send from a client that omits defaults.
fn send(form: LegacyForm) -> impl Strategy<Value = String> {
    let asked = (vec(quoted(), 0..2), option::of(1u32..9), any::<bool>());
    (message(form, Role::User, 1), asked, option::of(object())).prop_map(
        move |(message, (modes, history, waits), metadata)| {
            let history = history.map(|length| length.to_string());
            if form == LegacyForm::V0_1 {
                return members([
                    ("id", Some(format!("\"{TASK}\""))),
                    ("sessionId", Some(format!("\"{CONTEXT}\""))),
                    ("message", Some(message)),
                    ("historyLength", history),
                    ("metadata", metadata),
                ]);
            }
            let asked = !modes.is_empty() || history.is_some() || !waits;
            let said = waits == (form == LegacyForm::V0_3Proto);
            let configuration = members([
                ("acceptedOutputModes", some_array(&modes)),
                ("historyLength", history),
                ("blocking", said.then(|| waits.to_string())),
            ]);
            members([
                ("message", Some(message)),
                ("configuration", asked.then_some(configuration)),
                ("metadata", metadata),
            ])
        },
    )
}

/// One text per form.
fn each<S: Strategy<Value = String>>(
    of: fn(LegacyForm) -> S,
) -> impl Strategy<Value = [String; 3]> {
    let [one, two, three] = LEGACY.map(|(_, form)| of(form));
    (one, two, three).prop_map(|(one, two, three)| [one, two, three])
}

fn forms(texts: [String; 3]) -> impl Iterator<Item = (Dialect, LegacyForm, String)> {
    LEGACY.into_iter().zip(texts).map(|((dialect, form), text)| (dialect, form, text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tasks_survive_byte_for_byte(texts in each(task)) {
        for (_, form, given) in forms(texts) {
            let read = v0::received_task(form, &text(&given)).unwrap();
            let written = raw(&V0::new(form, &domain_task(read)));
            prop_assert_eq!(written.get(), given);
        }
    }

    #[test]
    fn sends_survive_byte_for_byte(texts in each(send)) {
        for (dialect, form, given) in forms(texts) {
            let read = dialect.read(Operation::Send, &text(&given));
            let Ok(Request::Send(read)) = read else { panic!("{given} is {read:?}") };
            let written = raw(&V0::new(form, read.as_ref()));
            prop_assert_eq!(written.get(), given);
        }
    }

    #[test]
    fn replies_survive_byte_for_byte(said in message(LegacyForm::V0_3, Role::Agent, 0)) {
        let read = v0::received_send(LegacyForm::V0_3, &text(&said)).unwrap();
        let ReceivedSend::Message(read) = read else { panic!("{said}") };
        let written = raw(&V0::new(LegacyForm::V0_3, &SendOutcome::Message(read)));
            prop_assert_eq!(written.get(), said);
    }

    #[test]
    fn status_events_survive_byte_for_byte(texts in each(status_event)) {
        for (dialect, form, given) in forms(texts) {
            let event = domain_event(v0::received_event(form, &text(&given)).unwrap());
            let written = raw(&dialect.frames(None).encode(&event)[0]);
            prop_assert_eq!(written.get(), given);
        }
    }

    #[test]
    fn artifact_events_survive_byte_for_byte(texts in each(artifact_event)) {
        for (dialect, form, given) in forms(texts) {
            let event = domain_event(v0::received_event(form, &text(&given)).unwrap());
            let written = raw(&dialect.frames(None).encode(&event)[0]);
            prop_assert_eq!(written.get(), given);
        }
    }
}
