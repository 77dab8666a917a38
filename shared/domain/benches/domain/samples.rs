//! Sample entries of typical size and shape.

use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, JsonObject, LogEntry,
    Message, MessageId, OwnerId, Part, Role, Seq, Task, TaskId, TaskKey, TaskState, Timestamp,
    log::{StatusChange, UserMessage},
};
use uuid::Uuid;

/// Text with occasional characters that JSON escapes.
const WORDS: &str = "The quick \"brown\" fox\njumps over the lazy dog, and grüßt it. ";

fn words(length: usize) -> String {
    WORDS.chars().cycle().take(length).collect()
}

pub fn task_id() -> TaskId {
    TaskId::new(Uuid::from_u128(0x018f_2f6e_7b7a_7000_8000_0000_0000_0001))
}

fn message(seq: i64, role: Role) -> Message {
    let id = MessageId::new(format!("message-{seq}")).expect("an id");
    Message::new(id, role, vec![Part::text(words(60))])
}

/// A task before the first entry of its log.
pub fn task() -> Task {
    let key = TaskKey { owner: OwnerId::LOCAL, task: task_id() };
    let context = ContextId::from(task_id().uuid());
    Task::begin(key, AgentName::new("echo").expect("a name"), context, Timestamp::UNIX_EPOCH)
}

/// The entry at a position.
pub fn entry(seq: i64, body: fn(i64) -> EntryBody) -> LogEntry {
    LogEntry { seq: Seq(seq), at: Timestamp::UNIX_EPOCH, attempt: 1, body: body(seq) }
}

/// Alternating turns of client and agent. A question of the agent is a status with a message.
pub fn turn(seq: i64) -> EntryBody {
    if seq % 2 == 0 {
        let asked = Some(message(seq, Role::Agent));
        return EntryBody::Status(StatusChange::with(TaskState::InputRequired, asked));
    }
    let request_metadata =
        JsonObject::parse(r#"{"trace":"0af7651916cd43dd8448eb211c80319c"}"#).ok();
    let message = message(seq, Role::User);
    EntryBody::Message(UserMessage { request_metadata, ..UserMessage::new(message) })
}

/// Progress with a message.
pub fn progress(seq: i64) -> EntryBody {
    let metadata = JsonObject::parse(r#"{"progress":0.5}"#).ok();
    let said = Some(message(seq, Role::Agent));
    EntryBody::Status(StatusChange { metadata, ..StatusChange::with(TaskState::Working, said) })
}

/// A status change without a message.
pub fn quiet(_: i64) -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

/// A chunk of one of three artifacts.
pub fn chunk(seq: i64) -> EntryBody {
    part_of(seq % 3, Part::text(words(100)), true)
}

/// A complete artifact.
pub fn whole(seq: i64) -> EntryBody {
    part_of(seq, Part::text(words(100)), false)
}

/// A chunk with a text of this many characters.
pub fn large_chunk(length: usize) -> EntryBody {
    part_of(0, Part::text(words(length)), true)
}

/// A chunk with this many bytes.
pub fn bytes_chunk(length: usize) -> EntryBody {
    let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
    part_of(0, Part::raw(bytes, "application/octet-stream"), true)
}

fn part_of(artifact: i64, part: Part, append: bool) -> EntryBody {
    let id = ArtifactId::new(format!("artifact-{artifact}")).expect("an id");
    let artifact = Artifact::new(id, vec![part]);
    EntryBody::Artifact(ArtifactUpdate {
        append,
        last_chunk: false,
        ..ArtifactUpdate::complete(artifact)
    })
}

/// A JSON object of about this many bytes.
pub fn large_json(length: usize, spaced: bool) -> String {
    let (comma, colon) = if spaced { (",\n  ", ": ") } else { (",", ":") };
    let member =
        |n: usize| format!(r#""key_{n}"{colon}{{"n"{colon}{n}{comma}"s"{colon}"abc \" é"}}"#);
    let members: Vec<String> = (0..length / 40).map(member).collect();
    format!("{{{}}}", members.join(comma))
}
