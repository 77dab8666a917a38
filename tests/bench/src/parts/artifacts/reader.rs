//! The reader that streams.

use super::made::{Artifact, Made};
use crate::http::{Connection, call_body};
use crate::parts::subscribers::unique;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    result: Outcome<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow)]
    task: Option<Task<'a>>,
    #[serde(borrow)]
    status_update: Option<Status<'a>>,
    #[serde(borrow)]
    artifact_update: Option<Update<'a>>,
}

#[derive(Deserialize)]
struct Task<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    status: State<'a>,
}

#[derive(Deserialize)]
struct State<'a> {
    state: &'a str,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    artifact: Artifact<'a>,
}

/// Has the artifact made and reads all of it; panics unless all of it comes, once and in order. Gives the id of the task.
pub async fn stream(base: &str, made: Made) -> String {
    let connection = Connection::open(base).await.expect("the node answers");
    let message = json!({"message": {
        "messageId": unique::id("make"),
        "role": "ROLE_USER",
        "parts": [{"text": "make it"}],
        "metadata": {"script": {"chunks": {"count": made.count, "size": made.size}}},
    }});
    let body = call_body("SendStreamingMessage", &message);
    let mut events = connection.events("/agents/script", body).await.expect("the node streams");
    let (mut task, mut seen, mut state) = (String::new(), 0, String::new());
    while let Some(event) = events.next().await.expect("the stream goes on to its end") {
        let frame: Frame<'_> = serde_json::from_slice(&event.data).expect("an event is a result");
        if let Some(update) = frame.result.artifact_update {
            seen = made.check(seen, &update.artifact);
        }
        if let Some(update) = frame.result.status_update {
            update.status.state.clone_into(&mut state);
        }
        if let Some(first) = frame.result.task {
            first.id.clone_into(&mut task);
        }
    }
    assert_eq!(state, "TASK_STATE_COMPLETED", "the task has not completed");
    assert_eq!(seen, made.count, "chunks were lost");
    task
}
