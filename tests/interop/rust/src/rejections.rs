//! Rejected requests, and the errors that the SDK reports.

use a2a::{A2AError, StreamResponse, error_code};
use futures::StreamExt;
use serde_json::json;

use crate::scenarios::{ScenarioResult, Scenarios, UNKNOWN_TASK_ID, equal, text};
use crate::sdk::{Events, MessageTarget};

impl Scenarios {
    /// Every rejection arrives with its error code.
    pub async fn errors(&self) -> ScenarioResult {
        let ended = self.send("done", MessageTarget::default()).await?;
        let asking = self.send("!ask", MessageTarget::default()).await?;
        let elsewhere =
            MessageTarget { context: Some(a2a::new_context_id()), ..MessageTarget::task(&asking) };
        let unknown =
            MessageTarget { task: Some(UNKNOWN_TASK_ID.to_owned()), ..MessageTarget::default() };
        let send = async |parts, to| self.sdk.send(parts, to).await.map(|task| task.id);
        let get = async |id| self.sdk.get(id, None).await.map(|task| task.id);
        let cancel = async |id| self.sdk.cancel(id).await.map(|task| task.id);
        let seen = [
            ("get of an unknown task", error_code::TASK_NOT_FOUND, get(UNKNOWN_TASK_ID).await),
            ("get of what is no id", error_code::TASK_NOT_FOUND, get("nonsense").await),
            (
                "cancel of an unknown task",
                error_code::TASK_NOT_FOUND,
                cancel(UNKNOWN_TASK_ID).await,
            ),
            ("cancel of an ended task", error_code::TASK_NOT_CANCELABLE, cancel(&ended.id).await),
            (
                "message to an unknown task",
                error_code::TASK_NOT_FOUND,
                send(text("x"), unknown).await,
            ),
            (
                "message to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                send(text("x"), MessageTarget::task(&ended)).await,
            ),
            (
                "stream to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                first(self.sdk.stream(text("x"), MessageTarget::task(&ended)).await).await,
            ),
            (
                "subscribing to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                first(self.sdk.subscribe(&ended.id).await).await,
            ),
            (
                "message without parts",
                error_code::INVALID_PARAMS,
                send(Vec::new(), MessageTarget::default()).await,
            ),
            (
                "message in another context",
                error_code::INVALID_PARAMS,
                send(text("x"), elsewhere).await,
            ),
        ];
        assert_all_rejected(&seen)
    }

    /// Push notifications are not supported; every operation on them reports it.
    pub async fn push(&self) -> ScenarioResult {
        let task = self.send("done", MessageTarget::default()).await?;
        let seen = self.sdk.push(&task.id).await;
        assert_all_rejected(
            &seen.map(|(what, answer)| (what, error_code::PUSH_NOTIFICATION_NOT_SUPPORTED, answer)),
        )
    }
}

fn assert_all_rejected(seen: &[(&str, i32, Result<String, A2AError>)]) -> ScenarioResult {
    for (what, expected, answer) in seen {
        let found = answer.as_ref().map_err(|error| error.code);
        equal(found, Err(*expected), what)?;
    }
    Ok(json!({ "seen": seen.len() }))
}

/// Some bindings report an error when the call is made, others with the first event.
async fn first(events: Result<Events, A2AError>) -> Result<String, A2AError> {
    match events?.next().await {
        Some(Err(error)) => Err(error),
        Some(Ok(StreamResponse::Task(task))) => Ok(task.id),
        other => Ok(format!("{other:?}")),
    }
}
