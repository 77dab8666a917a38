//! Checks of output. They run before anything is emitted, so that the executor gets the error at
//! the call that caused it.

use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, CheckpointName, Content, JsonObject, Message, Part,
    TextError,
    bounds::{self, OutOfBounds},
    check_text,
};

/// Output that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOutput {
    /// A text that cannot be stored.
    #[error("{place}: the text {source}")]
    Text {
        /// Its position, such as `artifact.parts[0].text`.
        place: String,
        /// The problem with it.
        source: TextError,
    },
    /// A message or artifact that is too large or nested too deeply.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A message or artifact without content.
    #[error("{place}: needs at least one part")]
    NoParts {
        /// The message or artifact.
        place: &'static str,
    },
    /// A chunk appended to an artifact that this attempt (or step) has neither begun nor continued.
    #[error(
        "artifact {0}: a chunk was appended before the artifact was begun in this attempt or step; send its first chunk \
         without append, or continue it explicitly when an earlier attempt, turn or step has left it"
    )]
    NotBegun(ArtifactId),
    /// A step wrote to an artifact that was begun outside of steps.
    #[error(
        "artifact {artifact}: step {step} cannot write to what was begun outside of it: a later attempt begins the artifact \
         anew and skips the step, and what the step had added is lost; give the step an artifact of its own, or write this \
         one in steps only"
    )]
    BegunOutsideStep {
        /// The artifact.
        artifact: ArtifactId,
        /// The step.
        step: CheckpointName,
    },
    /// Code outside of steps appended to an artifact that a step has written.
    #[error(
        "artifact {0}: steps have written it, so it can be continued in steps only: a later attempt keeps what the steps \
         wrote and would append the rest a second time"
    )]
    WrittenBySteps(ArtifactId),
    /// The outer context was used within a step to write an artifact.
    #[error(
        "artifact {artifact}: written within step {step} by the context from outside of it; use the one that the step is \
         given, so that the output is kept with the step"
    )]
    OutsideStepContext {
        /// The artifact.
        artifact: ArtifactId,
        /// The step.
        step: CheckpointName,
    },
    /// Metadata that is not a JSON object.
    #[error("metadata: {0}; give it a JSON object")]
    Metadata(String),
    /// A continued artifact that does not exist.
    #[error("artifact {0}: cannot be continued, the task has no such artifact")]
    NoSuchArtifact(ArtifactId),
}

/// Checks metadata of an event.
pub fn metadata(metadata: Option<&JsonObject>) -> Result<(), InvalidOutput> {
    Ok(bounds::check_metadata("metadata", metadata)?)
}

/// Checks a message.
pub fn message(message: &Message) -> Result<(), InvalidOutput> {
    if message.parts.is_empty() {
        return Err(InvalidOutput::NoParts { place: "message" });
    }
    bounds::check_message(message)?;
    parts("message", &message.parts)?;
    texts("message.extensions", message.extensions.iter())?;
    texts("message.referenceTaskIds", message.reference_task_ids.iter())
}

/// Checks a chunk. The caller checks whether it may be appended.
pub fn update(update: &ArtifactUpdate) -> Result<(), InvalidOutput> {
    let Artifact { name, description, parts: content, extensions, .. } = &update.artifact;
    // An appended chunk without parts is legal: the context leaves it out.
    if content.is_empty() && !update.append {
        return Err(InvalidOutput::NoParts { place: "artifact" });
    }
    bounds::check_update(update)?;
    parts("artifact", content)?;
    texts("artifact.name", name)?;
    texts("artifact.description", description)?;
    texts("artifact.extensions", extensions)
}

fn parts(place: &str, parts: &[Part]) -> Result<(), InvalidOutput> {
    for (index, part) in parts.iter().enumerate() {
        let at = |member: &str| format!("{place}.parts[{index}].{member}");
        match &part.content {
            Content::Text(value) => text(|| at("text"), value)?,
            Content::Url(value) => text(|| at("url"), value)?,
            // JSON is checked when it is made, and bytes may be any.
            Content::Data(_) | Content::Raw(_) | Content::Blob(_) => {}
        }
        if let Some(filename) = &part.filename {
            text(|| at("filename"), filename)?;
        }
        if let Some(media_type) = &part.media_type {
            text(|| at("mediaType"), media_type)?;
        }
    }
    Ok(())
}

fn texts<'a>(
    place: &str,
    values: impl IntoIterator<Item = &'a String>,
) -> Result<(), InvalidOutput> {
    values.into_iter().try_for_each(|value| text(|| place.to_owned(), value))
}

fn text(place: impl FnOnce() -> String, value: &str) -> Result<(), InvalidOutput> {
    check_text(value).map_err(|source| InvalidOutput::Text { place: place(), source })
}
