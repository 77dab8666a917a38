//! One client and its task, from the first message to the end.
//!
//! A message is sent with the same id until it is acknowledged, to one node or another. What is acknowledged is noted before
//! anything else is done.

use super::api::{Api, Trouble};
use crate::{
    journal::now,
    kind::{Kind, Order},
    random::Random,
    records::{Cancel, Told, is_terminal, state_of},
};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Longest time that a call may take before it is made again.
const CALL: Duration = Duration::from_secs(20);

/// Longest time that a waiting send is waited for: its answer may take as long as its task.
const WAITING: Duration = Duration::from_secs(15);

/// What a client notes, to be read also when the client is stopped in the middle.
#[derive(Debug, Clone)]
pub struct Notes {
    /// The task, once one was acknowledged.
    pub task: Option<String>,
    /// Everything else.
    pub told: Told,
    /// How often something had to be tried again.
    pub troubles: u64,
}

/// A client with its task.
pub struct Talk {
    pub(super) api: Api,
    pub(super) random: Random,
    message_id: String,
    order: Order,
    notes: Arc<Mutex<Notes>>,
}

/// How far a reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Far {
    /// The task has ended, or is parked for good.
    Over,
    /// It goes on.
    On,
}

impl Talk {
    /// A client that will send one order.
    pub fn new(api: Api, message_id: String, mut random: Random) -> Self {
        let order = Order::random(&mut random);
        let told = Told {
            order: order.clone(),
            not_before: None,
            subscriptions: Vec::new(),
            cancels: Vec::new(),
            other_tasks: Vec::new(),
            complaints: Vec::new(),
            done: false,
        };
        let notes = Arc::new(Mutex::new(Notes { task: None, told, troubles: 0 }));
        Self { api, random, message_id, order, notes }
    }

    /// What it notes; shared.
    pub fn notes(&self) -> Arc<Mutex<Notes>> {
        Arc::clone(&self.notes)
    }

    /// Sends the order and sees the task through. Goes on for as long as it takes; dropped when the time is over.
    pub async fn run(mut self) {
        let message = self.message();
        match self.order.kind {
            Kind::Streaming | Kind::Checkpointed if self.random.percent(70) => {
                self.stream("SendStreamingMessage", &json!({"message": message})).await;
            }
            Kind::Cancelled => self.cancelled(message).await,
            Kind::FollowUp => self.following_up(message).await,
            Kind::Quick | Kind::Retried | Kind::Panicking if self.random.percent(80) => {
                let answer = self.send(message, false).await;
                self.follow(&answer).await;
            }
            _ => {
                let answer = self.send(message, true).await;
                self.follow(&answer).await;
            }
        }
        self.note(|notes| notes.told.done = true);
    }

    fn message(&mut self) -> Value {
        let mut message = json!({
            "messageId": self.message_id, "role": "ROLE_USER",
            "parts": [{"text": self.order.text()}],
        });
        if self.order.delay_ms > 0 {
            let delay = i64::try_from(self.order.delay_ms).unwrap_or(0);
            let at = (now() / 1_000 + delay) * 1_000;
            message["metadata"] = json!({DURABILITY: {"notBefore": rfc3339(at)}});
            self.note(|notes| notes.told.not_before = Some(at));
        }
        message
    }

    /// Asks to cancel at some moment, then waits for the end.
    async fn cancelled(&mut self, message: Value) {
        let answer = self.send(message, true).await;
        sleep(Duration::from_millis(self.random.of(0..=3_000))).await;
        let cancel = json!({"id": self.task()});
        let mut cancelled = Cancel { at_first_try: true, ..Cancel::default() };
        loop {
            cancelled.sent_at = if cancelled.sent_at == 0 { now() } else { cancelled.sent_at };
            let node = self.api.any(&mut self.random);
            match self.api.call(node, "CancelTask", &cancel, CALL).await {
                Ok(task) => cancelled.state = state_of(&task),
                // An earlier call has done it, and its answer was lost.
                Err(Trouble::Refused(-32002, _)) => {}
                Err(trouble) => {
                    cancelled.at_first_try = false;
                    self.trouble(trouble).await;
                    continue;
                }
            }
            break;
        }
        self.note(|notes| notes.told.cancels.push(cancelled));
        self.follow(&answer).await;
    }

    /// Says more while the task runs.
    async fn following_up(&mut self, message: Value) {
        let answer = self.send(message, true).await;
        for number in 1..=self.order.count {
            sleep(Duration::from_millis(self.random.of(0..=600))).await;
            self.answer(&format!("more-{number}")).await;
        }
        self.follow(&answer).await;
    }

    /// Sends a message until it is acknowledged, and gives the task.
    async fn send(&mut self, message: Value, at_once: bool) -> Value {
        let params = json!({"message": message, "configuration": {"returnImmediately": at_once}});
        loop {
            let node = self.api.any(&mut self.random);
            let limit = if at_once { CALL } else { WAITING };
            match self.api.call(node, "SendMessage", &params, limit).await {
                Ok(answer) if answer["task"]["id"].is_string() => {
                    self.acknowledged(&answer["task"]);
                    return answer["task"].clone();
                }
                Ok(other) => self.complain(format!("SendMessage was answered with {other}")).await,
                Err(trouble) => self.trouble(trouble).await,
            }
        }
    }

    /// Sends a further message to the task until it is acknowledged.
    async fn answer(&mut self, name: &str) {
        let message = json!({
            "messageId": format!("{}-{name}", self.message_id), "role": "ROLE_USER",
            "taskId": self.task(), "parts": [{"text": name}],
        });
        self.send(message, true).await;
    }

    /// Sees a task through from an answer on: reads its stream, or polls.
    async fn follow(&mut self, answer: &Value) {
        if self.react(answer).await == Far::Over {
            return;
        }
        let polls = self.order.kind == Kind::Polled || self.random.percent(25);
        if polls {
            self.poll().await;
        } else {
            self.stream("SubscribeToTask", &json!({"id": self.task()})).await;
        }
    }

    pub(super) async fn poll(&mut self) {
        let params = json!({"id": self.task()});
        loop {
            sleep(Duration::from_millis(self.random.of(100..=500))).await;
            let node = self.api.any(&mut self.random);
            match self.api.call(node, "GetTask", &params, CALL).await {
                Ok(task) => {
                    if self.react(&task).await == Far::Over {
                        return;
                    }
                }
                Err(trouble) => self.trouble(trouble).await,
            }
        }
    }

    /// Does what a task's state asks of its client: answers its question.
    pub(super) async fn react(&mut self, json: &Value) -> Far {
        let state = state_of(json);
        if is_terminal(&state) {
            return Far::Over;
        }
        if state != "input-required" {
            return Far::On;
        }
        if self.order.kind == Kind::Parked {
            return Far::Over;
        }
        let question = ["/status/message", "/statusUpdate/status/message", "/task/status/message"]
            .iter()
            .find_map(|place| json.pointer(place)?.pointer("/parts/0/text")?.as_str());
        let name = question.unwrap_or("nothing").to_owned();
        Box::pin(self.answer(&name)).await;
        Far::On
    }

    pub(super) fn acknowledged(&self, task: &Value) {
        let Some(id) = task["id"].as_str() else { return };
        self.note(|notes| match &notes.task {
            None => notes.task = Some(id.to_owned()),
            Some(known) if known == id => {}
            Some(_) => notes.told.other_tasks.push(id.to_owned()),
        });
    }

    pub(super) fn has_task(&self) -> bool {
        self.note(|notes| notes.task.is_some())
    }

    /// The task; empty as long as none was acknowledged.
    pub(super) fn task(&self) -> String {
        self.note(|notes| notes.task.clone()).unwrap_or_default()
    }

    /// Notes trouble, and waits a moment before the next try.
    pub(super) async fn trouble(&mut self, trouble: Trouble) {
        self.note(|notes| notes.troubles += 1);
        if !trouble.passes() {
            self.complain(format!("{trouble:?}")).await;
        }
        sleep(Duration::from_millis(self.random.of(20..=250))).await;
    }

    /// Notes an answer that makes no sense; a few are enough.
    pub(super) async fn complain(&mut self, what: String) {
        self.note(|notes| {
            if notes.told.complaints.len() < 5 {
                notes.told.complaints.push(what);
            }
        });
        // Who gets nonsense for ever shall not ask for it all the time.
        sleep(Duration::from_millis(self.random.of(200..=500))).await;
    }

    pub(super) fn note<T>(&self, with: impl FnOnce(&mut Notes) -> T) -> T {
        with(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The durability extension.
const DURABILITY: &str = "urn:longhaul:a2a:durability:v1";

/// A time in microseconds since 1970 as the protocol writes it.
fn rfc3339(at: i64) -> String {
    let time = DateTime::from_timestamp_micros(at).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_as_the_protocol_wants_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_123_000), "2000-02-29T00:00:00.123Z");
        assert_eq!(rfc3339(1_798_761_599_999_000), "2026-12-31T23:59:59.999Z");
    }
}
