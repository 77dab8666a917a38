//! Scenarios that the SDK must pass.

use std::fmt::Debug;

use a2a::{A2AError, ListTasksRequest, Part, Task, TaskState};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::record::{StreamRecord, chunk_numbers, message_text, texts, user_texts};
use crate::sdk::{Events, MessageTarget, Sdk};

const CHUNK_COUNT: usize = 40;
pub const UNKNOWN_TASK_ID: &str = "018f2f6e-7b7a-7000-8000-000000000001";

pub type ScenarioResult = Result<Value, String>;

pub struct Scenarios {
    pub sdk: Sdk,
    /// A second client with connections of its own.
    other: Sdk,
}

#[expect(clippy::needless_pass_by_value, reason = "most callers compare what they have just made")]
pub fn equal<T: PartialEq + Debug>(found: T, expected: T, what: &str) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

pub fn text(content: &str) -> Vec<Part> {
    vec![Part::text(content)]
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub fn error_text(error: A2AError) -> String {
    format!("{} {}", error.code, error.message)
}

async fn collect(mut events: Events) -> Result<StreamRecord, String> {
    let mut record = StreamRecord::default();
    while let Some(event) = events.next().await {
        record.apply(event.map_err(error_text)?)?;
    }
    Ok(record)
}

impl Scenarios {
    pub fn new(sdk: Sdk, other: Sdk) -> Self {
        Self { sdk, other }
    }

    pub async fn run(&self, name: &str) -> ScenarioResult {
        match name {
            "card" => self.card().await,
            "extended" => self.extended().await,
            "send" => self.sends().await,
            "stream" => self.streams().await,
            "turns" => self.turns().await,
            "get" => self.gets().await,
            "list" => self.list().await,
            "cancel" => self.cancel().await,
            "resubscribe" => self.resubscribe().await,
            "files" => self.files().await,
            "data" => self.data().await,
            "errors" => self.errors().await,
            "push" => self.push().await,
            _ => Err("no such scenario".to_owned()),
        }
    }

    pub async fn send(&self, content: &str, to: MessageTarget) -> Result<Task, String> {
        self.sdk.send(text(content), to).await.map_err(error_text)
    }

    pub async fn streamed(&self, content: &str, to: MessageTarget) -> Result<StreamRecord, String> {
        collect(self.sdk.stream(text(content), to).await.map_err(error_text)?).await
    }

    /// A task read back equals the task from its stream.
    pub async fn same(&self, heard: &Task) -> Result<(), String> {
        let found = self.sdk.get(&heard.id, None).await.map_err(error_text)?;
        equal(&found.status, &heard.status, "status read back")?;
        let [found, heard] = [found, heard.clone()].map(|task| task.artifacts.unwrap_or_default());
        equal(found, heard, "artifacts read back")
    }

    /// The card is accepted, and a client with default settings reaches an agent that answers.
    async fn card(&self) -> ScenarioResult {
        let card = &self.sdk.card;
        equal(
            (card.capabilities.streaming, card.skills.is_empty()),
            (Some(true), false),
            "streaming and skills",
        )?;
        let task = self.sdk.send_with_defaults(text("hello")).await.map_err(error_text)?;
        equal(
            (&task.status.state, texts(&task)),
            (&TaskState::Completed, vec!["hello".to_owned()]),
            "answer",
        )?;
        let interfaces = card.supported_interfaces.iter();
        let interfaces: Vec<_> = interfaces
            .map(|one| [&one.protocol_binding, &one.protocol_version, &one.url])
            .collect();
        Ok(json!({ "name": card.name, "interfaces": interfaces }))
    }

    /// The extended card is available where the public one announces it.
    async fn extended(&self) -> ScenarioResult {
        let (public, extended) = (&self.sdk.card, self.sdk.extended().await.map_err(error_text)?);
        equal(public.capabilities.extended_agent_card, Some(true), "what the public card says")?;
        equal((&extended.name, &extended.skills), (&public.name, &public.skills), "card")?;
        Ok(Value::Null)
    }

    /// A send returns the completed task.
    async fn sends(&self) -> ScenarioResult {
        let task = self.send("hello, agent", MessageTarget::default()).await?;
        let hello = vec!["hello, agent".to_owned()];
        equal(
            (&task.status.state, texts(&task)),
            (&TaskState::Completed, hello.clone()),
            "state and artifact",
        )?;
        equal(user_texts(&task), hello, "messages of the client")?;
        self.same(&task).await?;
        Ok(Value::Null)
    }

    /// A stream begins with the task, reports progress and chunks in order, and ends with the final
    /// state.
    async fn streams(&self) -> ScenarioResult {
        let record = self
            .streamed("!progress 3; chunks 4 16; complete that is all", MessageTarget::default())
            .await?;
        let said: Vec<_> = record
            .statuses
            .iter()
            .map(|(_, said)| said.as_str())
            .filter(|said| !said.is_empty())
            .collect();
        equal(said, vec!["step 1 of 3", "step 2 of 3", "step 3 of 3", "that is all"], "statuses")?;
        let flags = record
            .chunks
            .iter()
            .map(|chunk| (chunk.append == Some(true), chunk.last_chunk == Some(true)));
        equal(
            flags.collect(),
            vec![(false, false), (true, false), (true, false), (true, true)],
            "chunks",
        )?;
        equal(chunk_numbers(record.task()?), vec![1, 2, 3, 4], "content")?;
        equal(
            record.statuses.last().map(|(state, _)| state),
            Some(&TaskState::Completed),
            "last state",
        )?;
        self.same(record.task()?).await?;
        Ok(Value::Null)
    }

    /// A question ends the stream; the reply completes the same task. Then the same without
    /// streams.
    async fn turns(&self) -> ScenarioResult {
        let record = self.streamed("!ask which one?", MessageTarget::default()).await?;
        let asking = record.task()?;
        let question = (&asking.status.state, message_text(asking.status.message.as_ref()));
        equal(question, (&TaskState::InputRequired, "which one?".to_owned()), "question")?;
        let record = self.streamed("the red one", MessageTarget::task(asking)).await?;
        let answered = record.task()?;
        equal((&answered.id, &answered.context_id), (&asking.id, &asking.context_id), "the task")?;
        let outcome = (&answered.status.state, texts(answered));
        equal(outcome, (&TaskState::Completed, vec!["the red one".to_owned()]), "outcome")?;
        self.same(answered).await?;

        let mut task = self.send("!ask-until yes", MessageTarget::default()).await?;
        for (answer, state) in [("no", TaskState::InputRequired), ("yes", TaskState::Completed)] {
            task = self.send(answer, MessageTarget::task(&task)).await?;
            equal(&task.status.state, &state, "state after an answer")?;
        }
        equal(
            user_texts(&task),
            ["!ask-until yes", "no", "yes"].map(str::to_owned).to_vec(),
            "messages of the client",
        )?;
        Ok(Value::Null)
    }

    /// A task is returned with the requested length of history.
    async fn gets(&self) -> ScenarioResult {
        let task = self.send("!ask", MessageTarget::default()).await?;
        let task = self.send("fine", MessageTarget::task(&task)).await?;
        let whole = self.sdk.get(&task.id, None).await.map_err(error_text)?;
        equal(user_texts(&whole), vec!["!ask".to_owned(), "fine".to_owned()], "whole history")?;
        let newest = self.sdk.get(&task.id, Some(1)).await.map_err(error_text)?;
        equal(user_texts(&newest), vec!["fine".to_owned()], "the newest message")?;
        Ok(Value::Null)
    }

    /// The tasks of a context are listed in pages, newest first, and by state.
    async fn list(&self) -> ScenarioResult {
        let context = a2a::new_context_id();
        let mut newest = Vec::new();
        for content in ["one", "two", "!ask three?"] {
            let task = self
                .send(
                    content,
                    MessageTarget { context: Some(context.clone()), ..MessageTarget::default() },
                )
                .await?;
            newest.insert(0, task.id);
        }
        let page = |page_size, page_token, status| {
            let request = ListTasksRequest {
                context_id: Some(context.clone()),
                status,
                page_size,
                page_token,
                history_length: None,
                status_timestamp_after: None,
                include_artifacts: None,
                tenant: None,
            };
            async move {
                let page = self.sdk.list(&request).await.map_err(error_text)?;
                let ids: Vec<String> = page.tasks.iter().map(|task| task.id.clone()).collect();
                Ok::<_, String>((ids, page.next_page_token, page.total_size))
            }
        };
        let (first, token, total) = page(Some(2), None, None).await?;
        equal((first, total), (newest[..2].to_vec(), 3), "first page")?;
        let (second, token, _) = page(Some(2), Some(token), None).await?;
        equal((second, token), (newest[2..].to_vec(), String::new()), "second page")?;
        let (asking, _, _) = page(None, None, Some(TaskState::InputRequired)).await?;
        equal(asking, newest[..1].to_vec(), "those that ask")?;
        Ok(Value::Null)
    }

    /// A cancel ends the task for the caller and for subscribers.
    async fn cancel(&self) -> ScenarioResult {
        let mut events =
            self.sdk.stream(text("!hang"), MessageTarget::default()).await.map_err(error_text)?;
        let (mut record, mut answer) = (StreamRecord::default(), None);
        while let Some(event) = events.next().await {
            record.apply(event.map_err(error_text)?)?;
            if answer.is_none() && record.task()?.status.state == TaskState::Working {
                answer = Some(self.sdk.cancel(&record.task()?.id).await.map_err(error_text)?);
            }
        }
        let state = answer.map(|task| task.status.state);
        equal(state.as_ref(), Some(&TaskState::Canceled), "answer to the cancel")?;
        equal(&record.task()?.status.state, &TaskState::Canceled, "end of the stream")?;
        self.same(record.task()?).await?;
        Ok(Value::Null)
    }

    /// The stream and its connection are dropped in the middle; a client that subscribes again
    /// misses nothing.
    async fn resubscribe(&self) -> ScenarioResult {
        let script = format!("!chunks {CHUNK_COUNT} 16 20; listen 1");
        let mut events =
            self.sdk.stream(text(&script), MessageTarget::default()).await.map_err(error_text)?;
        let mut record = StreamRecord::default();
        while record.chunks.len() < 5 {
            let event = events.next().await.ok_or("the stream ended early")?;
            record.apply(event.map_err(error_text)?)?;
        }
        drop(events);
        let task = record.task()?;
        let mut events = self.other.subscribe(&task.id).await.map_err(error_text)?;
        let (mut again, mut answered) = (StreamRecord::default(), false);
        while let Some(event) = events.next().await {
            again.apply(event.map_err(error_text)?)?;
            if !answered && texts(again.task()?).len() == CHUNK_COUNT {
                answered = true;
                self.send("go", MessageTarget { immediately: true, ..MessageTarget::task(task) })
                    .await?;
            }
        }
        let after = again.chunks.len();
        if CHUNK_COUNT - after < 5 {
            return Err(format!("{after} chunks after the first event"));
        }
        equal(chunk_numbers(again.task()?), (1..=CHUNK_COUNT).collect(), "chunks")?;
        equal(&again.task()?.status.state, &TaskState::Completed, "state")?;
        equal(
            again.statuses.iter().any(|(_, said)| said == "heard: go"),
            true,
            "answer to the message",
        )?;
        self.same(again.task()?).await?;
        Ok(json!({ "before": CHUNK_COUNT - after, "after": after }))
    }
}
