//! One client and its task, from the first message to the end.
//!
//! A message is sent under one id until it is acknowledged, each time to a random node. An
//! acknowledgement is recorded before anything else happens.

use super::{
    api_nodes::{ApiNodes, CallError},
    event_connection::{EventConnection, StreamItem},
};
use crate::{
    journal::now,
    random::Random,
    records::{Cancel, ClientView, StreamEvent, Subscription, is_terminal, state_of},
    scenario::{Scenario, ScenarioKind},
};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Time after which a call is repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Time after which a blocking send is repeated: its answer may take as long as its task.
const BLOCKING_SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// The notes of a client; they survive a client that is stopped midway.
#[derive(Debug, Clone)]
pub struct ClientNotes {
    /// The task, once it was acknowledged.
    pub task: Option<String>,
    /// The client's view of the task.
    pub client_view: ClientView,
    /// Retries after errors.
    pub retries: u64,
}

/// A client of one task.
pub struct TaskClient {
    api: ApiNodes,
    random: Random,
    message_id: String,
    scenario: Scenario,
    notes: Arc<Mutex<ClientNotes>>,
}

/// Progress of a task from its client's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskProgress {
    /// The task has ended, or is parked for good.
    Done,
    /// The task is in progress.
    Open,
}

impl TaskClient {
    /// A client for one random scenario.
    pub fn new(api: ApiNodes, message_id: String, mut random: Random) -> Self {
        let scenario = Scenario::random(&mut random);
        let client_view = ClientView {
            scenario: scenario.clone(),
            not_before: None,
            subscriptions: Vec::new(),
            cancels: Vec::new(),
            other_tasks: Vec::new(),
            complaints: Vec::new(),
            done: false,
        };
        let notes = Arc::new(Mutex::new(ClientNotes { task: None, client_view, retries: 0 }));
        Self { api, random, message_id, scenario, notes }
    }

    /// The client's notes, shared.
    pub fn notes(&self) -> Arc<Mutex<ClientNotes>> {
        Arc::clone(&self.notes)
    }

    /// Sends the scenario and follows the task to its end, without a time limit of its own.
    pub async fn run(mut self) {
        let message = self.message();
        match self.scenario.kind {
            ScenarioKind::Streaming | ScenarioKind::Checkpointed if self.random.percent(70) => {
                self.stream("SendStreamingMessage", &json!({"message": message})).await;
            }
            ScenarioKind::Cancelled => self.cancelled(message).await,
            ScenarioKind::FollowUp => self.following_up(message).await,
            ScenarioKind::Quick | ScenarioKind::Retried | ScenarioKind::Panicking
                if self.random.percent(80) =>
            {
                let answer = self.send(message, false).await;
                self.follow(&answer).await;
            }
            _ => {
                let answer = self.send(message, true).await;
                self.follow(&answer).await;
            }
        }
        self.note(|notes| notes.client_view.done = true);
    }

    fn message(&mut self) -> Value {
        let mut message = json!({
            "messageId": self.message_id, "role": "ROLE_USER",
            "parts": [{"text": self.scenario.text()}],
        });
        if self.scenario.delay_ms > 0 {
            let delay = i64::try_from(self.scenario.delay_ms).unwrap_or(0);
            let at = (now() / 1_000 + delay) * 1_000;
            message["metadata"] = json!({DURABILITY_EXTENSION: {"notBefore": rfc3339(at)}});
            self.note(|notes| notes.client_view.not_before = Some(at));
        }
        message
    }

    /// Cancels the task at a random time, then waits for its end.
    async fn cancelled(&mut self, message: Value) {
        let answer = self.send(message, true).await;
        sleep(Duration::from_millis(self.random.in_range(0..=3_000))).await;
        let cancel = json!({"id": self.task_id()});
        let mut cancelled = Cancel { at_first_try: true, ..Cancel::default() };
        loop {
            cancelled.sent_at = if cancelled.sent_at == 0 { now() } else { cancelled.sent_at };
            let node = self.api.random_node(&mut self.random);
            match self.api.call(node, "CancelTask", &cancel, CALL_TIMEOUT).await {
                Ok(task) => cancelled.state = state_of(&task),
                // The task was canceled by an earlier call whose answer was lost.
                Err(CallError::Refused(-32002, _)) => {}
                Err(error) => {
                    cancelled.at_first_try = false;
                    self.retry_after(error).await;
                    continue;
                }
            }
            break;
        }
        self.note(|notes| notes.client_view.cancels.push(cancelled));
        self.follow(&answer).await;
    }

    /// Sends further messages while the task runs.
    async fn following_up(&mut self, message: Value) {
        let answer = self.send(message, true).await;
        for number in 1..=self.scenario.count {
            sleep(Duration::from_millis(self.random.in_range(0..=600))).await;
            self.send_follow_up(&format!("more-{number}")).await;
        }
        self.follow(&answer).await;
    }

    /// Sends a message until it is acknowledged; returns the task.
    async fn send(&mut self, message: Value, at_once: bool) -> Value {
        let params = json!({"message": message, "configuration": {"returnImmediately": at_once}});
        loop {
            let node = self.api.random_node(&mut self.random);
            let limit = if at_once { CALL_TIMEOUT } else { BLOCKING_SEND_TIMEOUT };
            match self.api.call(node, "SendMessage", &params, limit).await {
                Ok(answer) if answer["task"]["id"].is_string() => {
                    self.record_acknowledged(&answer["task"]);
                    return answer["task"].clone();
                }
                Ok(other) => self.complain(format!("SendMessage was answered with {other}")).await,
                Err(error) => self.retry_after(error).await,
            }
        }
    }

    /// Sends a follow-up until it is acknowledged.
    async fn send_follow_up(&mut self, name: &str) {
        let message = json!({
            "messageId": format!("{}-{name}", self.message_id), "role": "ROLE_USER",
            "taskId": self.task_id(), "parts": [{"text": name}],
        });
        self.send(message, true).await;
    }

    /// Follows the task to its end: reads its stream, or polls.
    async fn follow(&mut self, answer: &Value) {
        if self.react(answer).await == TaskProgress::Done {
            return;
        }
        let polls = self.scenario.kind == ScenarioKind::Polled || self.random.percent(25);
        if polls {
            self.poll().await;
        } else {
            self.stream("SubscribeToTask", &json!({"id": self.task_id()})).await;
        }
    }

    async fn poll(&mut self) {
        let params = json!({"id": self.task_id()});
        loop {
            sleep(Duration::from_millis(self.random.in_range(100..=500))).await;
            let node = self.api.random_node(&mut self.random);
            match self.api.call(node, "GetTask", &params, CALL_TIMEOUT).await {
                Ok(task) => {
                    if self.react(&task).await == TaskProgress::Done {
                        return;
                    }
                }
                Err(error) => self.retry_after(error).await,
            }
        }
    }

    /// Reacts to a task's state: answers its question.
    async fn react(&mut self, json: &Value) -> TaskProgress {
        let state = state_of(json);
        if is_terminal(&state) {
            return TaskProgress::Done;
        }
        if state != "input-required" {
            return TaskProgress::Open;
        }
        if self.scenario.kind == ScenarioKind::Parked {
            return TaskProgress::Done;
        }
        let question = ["/status/message", "/statusUpdate/status/message", "/task/status/message"]
            .iter()
            .find_map(|place| json.pointer(place)?.pointer("/parts/0/text")?.as_str());
        let name = question.unwrap_or("nothing").to_owned();
        Box::pin(self.send_follow_up(&name)).await;
        TaskProgress::Open
    }

    fn record_acknowledged(&self, task: &Value) {
        let Some(id) = task["id"].as_str() else { return };
        self.note(|notes| match &notes.task {
            None => notes.task = Some(id.to_owned()),
            Some(known) if known == id => {}
            Some(_) => notes.client_view.other_tasks.push(id.to_owned()),
        });
    }

    fn has_task(&self) -> bool {
        self.note(|notes| notes.task.is_some())
    }

    /// The task's id; empty before it is acknowledged.
    fn task_id(&self) -> String {
        self.note(|notes| notes.task.clone()).unwrap_or_default()
    }

    /// Records an error, and waits before the next attempt.
    async fn retry_after(&mut self, error: CallError) {
        self.note(|notes| notes.retries += 1);
        if !error.is_transient() {
            self.complain(format!("{error:?}")).await;
        }
        sleep(Duration::from_millis(self.random.in_range(20..=250))).await;
    }

    /// Records an invalid answer, up to a few.
    async fn complain(&mut self, what: String) {
        self.note(|notes| {
            if notes.client_view.complaints.len() < 5 {
                notes.client_view.complaints.push(what);
            }
        });
        // Persistent invalid answers must not turn into a tight loop.
        sleep(Duration::from_millis(self.random.in_range(200..=500))).await;
    }

    fn note<T>(&self, with: impl FnOnce(&mut ClientNotes) -> T) -> T {
        with(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a stream to the task's end, over as many connections as needed. Some readers hang up
    /// at random.
    async fn stream(&mut self, method: &str, params: &Value) {
        let name = method.to_owned();
        let index = self.note(|notes| {
            notes.client_view.subscriptions.push(Subscription { name, ..Subscription::default() });
            notes.client_view.subscriptions.len() - 1
        });
        let mut hang_up = if self.random.percent(30) { self.random.in_range(1..=30) } else { 0 };
        loop {
            let cursor = self.subscription(index, |seen| cursor_of(seen));
            let node = self.api.random_node(&mut self.random);
            let opened = if cursor.is_none() {
                self.api.stream(node, method, params, None).await
            } else {
                let params = json!({"id": self.task_id()});
                self.api.stream(node, "SubscribeToTask", &params, cursor).await
            };
            let mut connection = match opened {
                Ok(response) => EventConnection::new(response),
                // An ended task has no stream without a cursor.
                Err(CallError::Refused(-32004, _)) if cursor.is_none() && self.has_task() => {
                    return self.poll().await;
                }
                Err(error) => {
                    self.retry_after(error).await;
                    continue;
                }
            };
            self.subscription(index, |seen| seen.connections += 1);
            if self.read(&mut connection, index, &mut hang_up).await == TaskProgress::Done {
                return;
            }
        }
    }

    /// Reads one connection to its end.
    async fn read(
        &mut self,
        connection: &mut EventConnection,
        index: usize,
        hang_up: &mut u64,
    ) -> TaskProgress {
        loop {
            let complete = self.subscription(index, |seen| seen.complete);
            match connection.next().await {
                StreamItem::Event(seq, event) => {
                    self.record_event(seq, &event, index).await;
                    let done = self.react(&event).await == TaskProgress::Done;
                    let complete = self.subscription(index, |seen| seen.complete);
                    // After the task's last event the server must end the stream: anything more is
                    // recorded as a violation.
                    if done && !complete {
                        return TaskProgress::Done;
                    }
                    *hang_up = hang_up.saturating_sub(1);
                    if *hang_up == 1 && !complete {
                        return TaskProgress::Open;
                    }
                }
                // The last event was seen: a connection that breaks after it does not matter.
                StreamItem::End | StreamItem::Broken(_) if complete => return TaskProgress::Done,
                StreamItem::End => return TaskProgress::Open,
                StreamItem::Broken(error) => {
                    self.retry_after(error).await;
                    return TaskProgress::Open;
                }
            }
        }
    }

    /// Records an event before reacting to it.
    async fn record_event(&mut self, seq: i64, event: &Value, index: usize) {
        let complete = is_terminal(&state_of(event));
        let mut misplaced = false;
        if event["task"].is_object() {
            self.record_acknowledged(&event["task"]);
            misplaced = self.subscription(index, |seen| {
                let misplaced = cursor_of(seen).is_some();
                seen.snapshot = Some((seq, event["task"].clone()));
                misplaced
            });
        } else {
            let text = event.to_string();
            self.subscription(index, |seen| seen.events.push(StreamEvent { seq, text }));
        }
        self.subscription(index, |seen| seen.complete = complete);
        if misplaced {
            self.complain("a snapshot in the middle of a stream".to_owned()).await;
        }
    }

    fn subscription<T>(&self, index: usize, with: impl FnOnce(&mut Subscription) -> T) -> T {
        self.note(|notes| with(&mut notes.client_view.subscriptions[index]))
    }
}

/// The cursor of the last item seen.
fn cursor_of(seen: &Subscription) -> Option<i64> {
    let first = seen.snapshot.as_ref().map(|(seq, _)| *seq);
    seen.events.last().map(|event| event.seq).or(first)
}

/// The durability extension.
const DURABILITY_EXTENSION: &str = "urn:longhaul:a2a:durability:v1";

/// Formats microseconds since 1970 as the protocol demands.
fn rfc3339(at: i64) -> String {
    let time = DateTime::from_timestamp_micros(at).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_formatted_as_the_protocol_demands() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_123_000), "2000-02-29T00:00:00.123Z");
        assert_eq!(rfc3339(1_798_761_599_999_000), "2026-12-31T23:59:59.999Z");
    }
}
