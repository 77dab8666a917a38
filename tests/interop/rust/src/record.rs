//! Events of a stream, folded into a task as a client would, and in their order.

use a2a::{
    Artifact, Message, Part, PartContent, Role, StreamResponse, Task, TaskArtifactUpdateEvent,
    TaskState,
};

/// Events of a stream so far.
#[derive(Default)]
pub struct StreamRecord {
    pub task: Option<Task>,
    pub chunks: Vec<TaskArtifactUpdateEvent>,
    /// The states and their texts, in order.
    pub statuses: Vec<(TaskState, String)>,
}

impl StreamRecord {
    pub fn apply(&mut self, event: StreamResponse) -> Result<(), String> {
        if let StreamResponse::Task(task) = event {
            return match self.task.replace(task) {
                None => Ok(()),
                Some(_) => Err("the task came a second time".to_owned()),
            };
        }
        let task = self.task.as_mut().ok_or("the first event is not the task")?;
        match event {
            StreamResponse::StatusUpdate(update) => {
                self.statuses.push((
                    update.status.state.clone(),
                    message_text(update.status.message.as_ref()),
                ));
                task.status = update.status;
            }
            StreamResponse::ArtifactUpdate(update) => {
                fold(task.artifacts.get_or_insert_default(), &update)?;
                self.chunks.push(update);
            }
            other => return Err(format!("an event that is none of a task: {other:?}")),
        }
        Ok(())
    }

    pub fn task(&self) -> Result<&Task, String> {
        self.task.as_ref().ok_or_else(|| "nothing was heard".to_owned())
    }
}

fn fold(artifacts: &mut Vec<Artifact>, update: &TaskArtifactUpdateEvent) -> Result<(), String> {
    let known =
        artifacts.iter_mut().find(|artifact| artifact.artifact_id == update.artifact.artifact_id);
    match (known, update.append == Some(true)) {
        (Some(known), true) => known.parts.extend(update.artifact.parts.clone()),
        (Some(known), false) => *known = update.artifact.clone(),
        (None, false) => artifacts.push(update.artifact.clone()),
        (None, true) => return Err("a chunk of an artifact that was not begun".to_owned()),
    }
    Ok(())
}

pub fn message_text(message: Option<&Message>) -> String {
    message
        .map(|message| message.parts.iter().filter_map(Part::as_text).collect())
        .unwrap_or_default()
}

/// The parts of all artifacts.
pub fn parts(task: &Task) -> Vec<PartContent> {
    let artifacts = task.artifacts.iter().flatten();
    artifacts.flat_map(|artifact| artifact.parts.iter().map(|part| part.content.clone())).collect()
}

/// The texts of all artifacts.
pub fn texts(task: &Task) -> Vec<String> {
    let text = |part| if let PartContent::Text(text) = part { Some(text) } else { None };
    parts(task).into_iter().filter_map(text).collect()
}

/// The numbers at the beginning of the script's chunks.
pub fn chunk_numbers(task: &Task) -> Vec<usize> {
    texts(task).iter().filter_map(|text| text.get(..7)?.parse().ok()).collect()
}

/// The texts of the client's messages.
pub fn user_texts(task: &Task) -> Vec<String> {
    let messages = task.history.iter().flatten();
    messages
        .filter(|message| message.role == Role::User)
        .map(|message| message_text(Some(message)))
        .collect()
}
