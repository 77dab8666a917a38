//! The streaming reader.

use super::scripted_artifact::{ScriptedArtifact, WireArtifact};
use crate::http::{HttpConnection, call_body};
use crate::message_ids::unique_id;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct ArtifactFrame<'a> {
    #[serde(borrow)]
    result: ArtifactEvent<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactEvent<'a> {
    #[serde(borrow)]
    task: Option<ArtifactTask<'a>>,
    #[serde(borrow)]
    status_update: Option<ArtifactStatusUpdate<'a>>,
    #[serde(borrow)]
    artifact_update: Option<ArtifactChunkUpdate<'a>>,
}

#[derive(Deserialize)]
struct ArtifactTask<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct ArtifactStatusUpdate<'a> {
    #[serde(borrow)]
    status: ArtifactTaskState<'a>,
}

#[derive(Deserialize)]
struct ArtifactTaskState<'a> {
    state: &'a str,
}

#[derive(Deserialize)]
struct ArtifactChunkUpdate<'a> {
    #[serde(borrow)]
    artifact: WireArtifact<'a>,
}

/// Lets a task make the artifact and reads all of it. Panics unless every chunk arrives once and in
/// order. Returns the task's id.
pub async fn stream(base: &str, artifact: ScriptedArtifact) -> String {
    let connection = HttpConnection::open(base).await.expect("the node answers");
    let message = json!({"message": {
        "messageId": unique_id("make"),
        "role": "ROLE_USER",
        "parts": [{"text": "make it"}],
        "metadata": {"script": {"chunks": {"count": artifact.count, "size": artifact.size}}},
    }});
    let body = call_body("SendStreamingMessage", &message);
    let mut events = connection.events("/agents/script", body).await.expect("the node streams");
    let (mut task, mut seen, mut state) = (String::new(), 0, String::new());
    while let Some(event) = events.next().await.expect("the stream goes on to its end") {
        let frame: ArtifactFrame<'_> =
            serde_json::from_slice(&event.data).expect("an event is a result");
        if let Some(update) = frame.result.artifact_update {
            seen = artifact.check(seen, &update.artifact);
        }
        if let Some(update) = frame.result.status_update {
            update.status.state.clone_into(&mut state);
        }
        if let Some(first) = frame.result.task {
            first.id.clone_into(&mut task);
        }
    }
    assert_eq!(state, "TASK_STATE_COMPLETED", "the task has not completed");
    assert_eq!(seen, artifact.count, "chunks were lost");
    task
}
