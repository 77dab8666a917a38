//! A client that reads a stream, over as many connections and nodes as it takes.

use super::{
    api::Trouble,
    talk::{Far, Talk},
    watch::{Connection, Next},
};
use crate::records::{Event, Subscription, is_terminal, state_of};
use serde_json::{Value, json};

impl Talk {
    /// Reads a stream to the end of the task over as many connections as it takes. Now and then it hangs up by itself.
    pub(super) async fn stream(&mut self, method: &str, params: &Value) {
        let name = method.to_owned();
        let place = self.note(|notes| {
            notes.told.subscriptions.push(Subscription { name, ..Subscription::default() });
            notes.told.subscriptions.len() - 1
        });
        let mut hang_up = if self.random.percent(30) { self.random.of(1..=30) } else { 0 };
        loop {
            let cursor = self.seen(place, |seen| cursor_of(seen));
            let node = self.api.any(&mut self.random);
            let opened = if cursor.is_none() {
                self.api.stream(node, method, params, None).await
            } else {
                let params = json!({"id": self.task()});
                self.api.stream(node, "SubscribeToTask", &params, cursor).await
            };
            let mut connection = match opened {
                Ok(response) => Connection::new(response),
                // Without a cursor there is no stream of a task that has ended.
                Err(Trouble::Refused(-32004, _)) if cursor.is_none() && self.has_task() => {
                    return self.poll().await;
                }
                Err(trouble) => {
                    self.trouble(trouble).await;
                    continue;
                }
            };
            self.seen(place, |seen| seen.connections += 1);
            if self.read(&mut connection, place, &mut hang_up).await == Far::Over {
                return;
            }
        }
    }

    /// Reads one connection to its end.
    async fn read(&mut self, connection: &mut Connection, place: usize, hang_up: &mut u64) -> Far {
        loop {
            let complete = self.seen(place, |seen| seen.complete);
            match connection.next().await {
                Next::Event(seq, event) => {
                    self.event(seq, &event, place).await;
                    let over = self.react(&event).await == Far::Over;
                    let complete = self.seen(place, |seen| seen.complete);
                    // The server ends the stream behind the end of the task; what else comes is seen, and wrong.
                    if over && !complete {
                        return Far::Over;
                    }
                    *hang_up = hang_up.saturating_sub(1);
                    if *hang_up == 1 && !complete {
                        return Far::On;
                    }
                }
                // The end was seen; that the connection broke behind it does not matter.
                Next::End | Next::Broken(_) if complete => return Far::Over,
                Next::End => return Far::On,
                Next::Broken(trouble) => {
                    self.trouble(trouble).await;
                    return Far::On;
                }
            }
        }
    }

    /// Notes an event before anything is made of it.
    async fn event(&mut self, seq: i64, event: &Value, place: usize) {
        let complete = is_terminal(&state_of(event));
        let mut misplaced = false;
        if event["task"].is_object() {
            self.acknowledged(&event["task"]);
            misplaced = self.seen(place, |seen| {
                let misplaced = cursor_of(seen).is_some();
                seen.snapshot = Some((seq, event["task"].clone()));
                misplaced
            });
        } else {
            let text = event.to_string();
            self.seen(place, |seen| seen.events.push(Event { seq, text }));
        }
        self.seen(place, |seen| seen.complete = complete);
        if misplaced {
            self.complain("a snapshot in the middle of a stream".to_owned()).await;
        }
    }

    fn seen<T>(&self, place: usize, with: impl FnOnce(&mut Subscription) -> T) -> T {
        self.note(|notes| with(&mut notes.told.subscriptions[place]))
    }
}

/// The place of the last thing that was seen.
fn cursor_of(seen: &Subscription) -> Option<i64> {
    let first = seen.snapshot.as_ref().map(|(seq, _)| *seq);
    seen.events.last().map(|event| event.seq).or(first)
}
