//! Agents and task logs of a Longhaul server, beside A2A.

use crate::{A2aClient, ApiKind, ClientError, Decoded, Result, TaskRef};
use longhaul_wire::native::{AgentList, LogEntryView, TaskLogPage};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The part of a log to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskLogQuery {
    /// Reads behind this entry.
    pub after: Option<i64>,
    /// Reads this many of the latest entries; not together with `after`.
    pub tail: Option<u32>,
    /// Most entries to return: 1 to 1,000.
    pub limit: Option<u32>,
    /// Returns notes only: failed attempts, lost workers, cancel requests.
    pub notes_only: bool,
}

/// A note in a task's log: why the task runs again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
#[non_exhaustive]
pub enum RunNote {
    /// An attempt failed; another one follows.
    #[serde(rename_all = "camelCase")]
    AttemptFailed {
        /// Number of the attempt, from 1.
        attempt: i64,
        /// Message of the failure.
        cause: String,
        /// Milliseconds until the next attempt may start.
        retry_in_ms: u64,
    },
    /// The worker was lost; the task was offered to other workers.
    WorkerLost {},
    /// The running task was asked to stop.
    CancelRequested,
    /// A note of a later version.
    #[serde(other)]
    Other,
}

impl RunNote {
    /// Reads the note of a log entry; `None` if the entry is no note.
    pub fn from_entry(entry: &LogEntryView) -> Option<Self> {
        (entry.kind == "note")
            .then(|| serde_json::from_str(entry.body.get()).unwrap_or(Self::Other))
    }
}

impl TaskLogQuery {
    fn pairs(self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("after", self.after.map(|after| after.to_string())),
            ("tail", self.tail.map(|tail| tail.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("kind", self.notes_only.then(|| "note".to_owned())),
        ];
        numbers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// An error in the shape of HTTP+JSON.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    // `code` is a name in the operator API and a number in HTTP+JSON, so it is not read.
    message: String,
}

/// Reads the message of an error answer, if it has one.
pub fn error_message(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error.message)
}

impl A2aClient {
    /// Lists the agents of a Longhaul server.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses, or is no Longhaul server.
    pub async fn agents(&self) -> Result<Decoded<AgentList>> {
        Decoded::from_json(self.get_native(&["agents"], &[]).await?)
    }

    /// Reads a page of a task's log, on a Longhaul server.
    ///
    /// ```no_run
    /// # use longhaul_client::{A2aClient, Result, RunNote, TaskLogQuery, TaskRef};
    /// # async fn example(client: A2aClient, task: TaskRef) -> Result<()> {
    /// let query = TaskLogQuery { notes_only: true, ..TaskLogQuery::default() };
    /// for entry in client.task_log(&task, query).await?.value.entries {
    ///     if let Some(RunNote::AttemptFailed { attempt, cause, .. }) = RunNote::from_entry(&entry) {
    ///         println!("attempt {attempt} failed: {cause}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, knows no such task, or is no Longhaul server.
    pub async fn task_log(
        &self,
        task: &TaskRef,
        query: TaskLogQuery,
    ) -> Result<Decoded<TaskLogPage>> {
        let raw = self.get_native(&["tasks", &task.to_string(), "log"], &query.pairs()).await?;
        Decoded::from_json(raw)
    }

    async fn get_native(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<Box<RawValue>> {
        let transport = self.transport();
        let place = transport.base();
        let mut url = transport.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let (status, body) = transport.exchange(transport.http().get(url), place).await?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&body)
                .map_err(|error| ClientError::Unreadable(error.to_string()));
        }
        let url = place.to_owned();
        Err(match error_message(&body) {
            // A server without this address answers in terms of A2A, which would mislead here.
            Some(message) if status != 404 || !message.contains("nothing at this address") => {
                ClientError::Denied { url, status, message, api: ApiKind::Native }
            }
            _ => ClientError::Http { url, status, api: ApiKind::Native },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn notes_are_read_and_unknown_ones_are_kept_apart() {
        let note = |body| {
            let entry =
                json!({"seq": 3, "at": "2026-01-02T03:04:05Z", "kind": "note", "body": body});
            RunNote::from_entry(&serde_json::from_value::<LogEntryView>(entry).unwrap())
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
