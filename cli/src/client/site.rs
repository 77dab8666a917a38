//! What a Longhaul server has beside A2A for those who own tasks: its agents, and the log of a task.

use super::{
    ClientError,
    endpoint::{ANSWER, Answered, base_of, http_client, key_of, silent, unreachable},
    redirect,
};
use crate::exit::Failure;
use longhaul_domain::{Json, Timestamp};
use longhaul_runtime::Secret;
use reqwest::Url;
use serde::Deserialize;

/// A Longhaul server, by the address of its root.
#[derive(Debug, Clone)]
pub struct Site {
    http: reqwest::Client,
    base: Url,
    key: Option<Secret>,
}

/// A page of the log of a task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLogPage {
    /// The agent that runs the task.
    pub agent: String,
    /// In order.
    pub entries: Vec<TaskLogEntry>,
    /// The last entry that was looked at.
    pub next: i64,
    /// Whether there are entries behind it.
    pub more: bool,
}

/// An entry of the log of a task.
#[derive(Debug, Deserialize)]
pub struct TaskLogEntry {
    /// Its place.
    pub seq: i64,
    /// When it was committed.
    pub at: Timestamp,
    /// The attempt that wrote it; 0 where no executor did.
    #[serde(default)]
    pub attempt: i64,
    /// `message`, `status`, `artifact` or `note`.
    pub kind: String,
    /// As it is stored.
    pub body: Json,
}

/// A note in a log that says why a task runs again.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum RunNote {
    /// An attempt failed; another one follows.
    #[serde(rename_all = "camelCase")]
    AttemptFailed {
        /// Which attempt, from 1.
        attempt: i64,
        /// Why.
        cause: String,
        /// Milliseconds until the next one may start.
        retry_in_ms: u64,
    },
    /// The worker was lost; the task was offered to others.
    WorkerLost {},
    /// A running task was asked to stop.
    CancelRequested,
    /// A note of a later version.
    #[serde(other)]
    Other,
}

/// An error, in the shape of HTTP+JSON.
#[derive(Deserialize)]
struct Refused {
    error: RefusedBecause,
}

#[derive(Deserialize)]
struct RefusedBecause {
    message: String,
}

impl Site {
    /// The server at an address.
    pub fn new(url: &str, api_key: Option<&String>) -> Result<Self, Failure> {
        let base = base_of(url)?;
        let base = Url::parse(base)
            .map_err(|error| Failure::usage(format!("--url: {base:?} is no address: {error}")))?;
        Ok(Self { http: http_client(redirect::policy(false))?, base, key: key_of(api_key) })
    }

    /// Reads the agents, as they came.
    pub async fn agents(&self) -> Answered {
        self.get(&["agents"], &[]).await
    }

    /// Reads a page of the log of a task, as it came.
    pub async fn task_log(&self, task: &str, query: &[(&str, String)]) -> Answered {
        self.get(&["tasks", task, "log"], query).await
    }

    async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Answered {
        let place = self.base.as_str().trim_end_matches('/').to_owned();
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.get(url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let answering = async {
            let response = request.send().await.map_err(|error| unreachable(&place, &error))?;
            redirect::not_followed(&place, &response)?;
            let status = response.status().as_u16();
            let body = response.bytes().await.map_err(|error| unreachable(&place, &error))?;
            if (200..300).contains(&status) {
                return serde_json::from_slice(&body)
                    .map_err(|error| ClientError::Unreadable(error.to_string()));
            }
            let said = serde_json::from_slice::<Refused>(&body).ok();
            Err(ClientError::site(&place, status, said.map(|said| said.error.message)))
        };
        let answered = tokio::time::timeout(ANSWER, answering).await;
        answered.unwrap_or_else(|_| Err(silent(&place, ANSWER)))
    }
}

impl TaskLogEntry {
    /// The note that it is, if it is one.
    pub fn note(&self) -> Option<RunNote> {
        (self.kind == "note").then(|| self.body.to().unwrap_or(RunNote::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn notes_are_read_and_unknown_ones_are_passed_over() {
        let note = |body| {
            let entry =
                json!({"seq": 3, "at": "2026-01-02T03:04:05Z", "kind": "note", "body": body});
            serde_json::from_value::<TaskLogEntry>(entry).unwrap().note()
        };
        let failed = json!({"note": "attempt-failed", "attempt": 1, "cause": "no", "retryInMs": 5});
        let cause = "no".to_owned();
        assert_eq!(
            note(failed),
            Some(RunNote::AttemptFailed { attempt: 1, cause, retry_in_ms: 5 })
        );
        assert_eq!(
            note(json!({"note": "worker-lost", "worker": ""})),
            Some(RunNote::WorkerLost {})
        );
        assert_eq!(note(json!({"note": "new"})), Some(RunNote::Other));
    }
}
