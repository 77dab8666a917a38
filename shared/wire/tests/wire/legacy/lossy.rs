//! Expected losses of the older forms: removes from a value whatever the form cannot express.

use longhaul_domain::{Artifact, ArtifactId, Content, Message, Part, TaskState};
use longhaul_wire::{ReceivedStatus, ReceivedTask, TaskRef, v0::LegacyForm};

pub fn part(part: &mut Part) {
    if !matches!(part.content, Content::Raw(_) | Content::Url(_)) {
        (part.filename, part.media_type) = (None, None);
    }
    // Metadata that held nothing but the wrapping marker disappears.
    if let Content::Data(data) = &part.content
        && !data.as_str().starts_with('{')
    {
        part.metadata = part.metadata.take().filter(|metadata| metadata.as_str() != "{}");
    }
}

pub fn message(form: LegacyForm, message: &mut Message) {
    message.parts.iter_mut().for_each(part);
    match form {
        LegacyForm::V0_3 => {}
        LegacyForm::V0_3Proto => message.reference_task_ids.clear(),
        LegacyForm::V0_1 => {
            message.reference_task_ids.clear();
            message.extensions.clear();
            (message.context_id, message.task_id) = (None, None);
        }
    }
}

pub fn artifact(form: LegacyForm, artifact: &mut Artifact, index: usize) {
    artifact.parts.iter_mut().for_each(part);
    if form == LegacyForm::V0_1 {
        artifact.extensions.clear();
        artifact.artifact_id = ArtifactId::new(format!("artifact-{index}")).unwrap();
    }
}

pub fn state(form: LegacyForm, state: TaskState) -> TaskState {
    match (form, state) {
        (LegacyForm::V0_1, TaskState::Rejected) => TaskState::Failed,
        (LegacyForm::V0_1, TaskState::AuthRequired) => TaskState::InputRequired,
        (_, state) => state,
    }
}

pub fn status(form: LegacyForm, status: &mut ReceivedStatus) {
    status.state = state(form, status.state);
    if let Some(said) = &mut status.message {
        message(form, said);
    }
}

pub fn task(form: LegacyForm, task: &mut ReceivedTask) {
    task.id = task_ref(form, &task.id);
    status(form, &mut task.status);
    task.history.iter_mut().for_each(|said| message(form, said));
    for (index, there) in task.artifacts.iter_mut().enumerate() {
        artifact(form, there, index);
    }
}

/// Task id as a client of 0.1 knows it.
pub fn task_ref(form: LegacyForm, task: &TaskRef) -> TaskRef {
    match form {
        LegacyForm::V0_1 => TaskRef::parse_client_id(task.to_string()),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => task.clone(),
    }
}

/// Copies the id that was derived for a message without one.
pub fn named_alike(form: LegacyForm, expected: &mut Message, read: &Message) {
    if form == LegacyForm::V0_1 {
        expected.message_id = read.message_id.clone();
    }
}

pub fn tasks_named_alike(form: LegacyForm, expected: &mut ReceivedTask, read: &ReceivedTask) {
    for (expected, read) in expected.history.iter_mut().zip(&read.history) {
        named_alike(form, expected, read);
    }
    if let (Some(expected), Some(read)) = (&mut expected.status.message, &read.status.message) {
        named_alike(form, expected, read);
    }
}
