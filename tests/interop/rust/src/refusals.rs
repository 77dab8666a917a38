//! What is refused, and how the SDK tells it.

use a2a::{A2AError, StreamResponse, error_code};
use futures::StreamExt;
use serde_json::json;

use crate::scenarios::{Scenarios, Seen, UNKNOWN, equal, text};
use crate::sdk::{Events, To};

impl Scenarios {
    /// Every refusal arrives with its code.
    pub async fn errors(&self) -> Seen {
        let ended = self.send("done", To::default()).await?;
        let asking = self.send("!ask", To::default()).await?;
        let elsewhere = To { context: Some(a2a::new_context_id()), ..To::task(&asking) };
        let unknown = To { task: Some(UNKNOWN.to_owned()), ..To::default() };
        let send = async |parts, to| self.sdk.send(parts, to).await.map(|task| task.id);
        let get = async |id| self.sdk.get(id, None).await.map(|task| task.id);
        let cancel = async |id| self.sdk.cancel(id).await.map(|task| task.id);
        let seen = [
            ("get of an unknown task", error_code::TASK_NOT_FOUND, get(UNKNOWN).await),
            ("get of what is no id", error_code::TASK_NOT_FOUND, get("nonsense").await),
            ("cancel of an unknown task", error_code::TASK_NOT_FOUND, cancel(UNKNOWN).await),
            ("cancel of an ended task", error_code::TASK_NOT_CANCELABLE, cancel(&ended.id).await),
            (
                "message to an unknown task",
                error_code::TASK_NOT_FOUND,
                send(text("x"), unknown).await,
            ),
            (
                "message to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                send(text("x"), To::task(&ended)).await,
            ),
            (
                "stream to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                first(self.sdk.stream(text("x"), To::task(&ended)).await).await,
            ),
            (
                "subscribing to an ended task",
                error_code::UNSUPPORTED_OPERATION,
                first(self.sdk.subscribe(&ended.id).await).await,
            ),
            (
                "message without parts",
                error_code::INVALID_PARAMS,
                send(Vec::new(), To::default()).await,
            ),
            (
                "message in another context",
                error_code::INVALID_PARAMS,
                send(text("x"), elsewhere).await,
            ),
        ];
        all_refused(&seen)
    }

    /// Push notifications are not offered; every operation on them says so.
    pub async fn push(&self) -> Seen {
        let task = self.send("done", To::default()).await?;
        let seen = self.sdk.push(&task.id).await;
        all_refused(
            &seen.map(|(what, answer)| (what, error_code::PUSH_NOTIFICATION_NOT_SUPPORTED, answer)),
        )
    }
}

fn all_refused(seen: &[(&str, i32, Result<String, A2AError>)]) -> Seen {
    for (what, expected, answer) in seen {
        let found = answer.as_ref().map_err(|error| error.code);
        equal(found, Err(*expected), what)?;
    }
    Ok(json!({ "seen": seen.len() }))
}

/// Some bindings say no when the call is made, others with the first event.
async fn first(events: Result<Events, A2AError>) -> Result<String, A2AError> {
    match events?.next().await {
        Some(Err(error)) => Err(error),
        Some(Ok(StreamResponse::Task(task))) => Ok(task.id),
        other => Ok(format!("{other:?}")),
    }
}
