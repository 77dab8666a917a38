//! What the SDK is asked to do.

use std::fmt::Debug;

use a2a::{A2AError, ListTasksRequest, Part, Task, TaskState};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::record::{Record, asked, numbers, said, texts};
use crate::sdk::{Events, Sdk, To};

const CHUNKS: usize = 40;
pub const UNKNOWN: &str = "018f2f6e-7b7a-7000-8000-000000000001";

pub type Seen = Result<Value, String>;

pub struct Scenarios {
    pub sdk: Sdk,
    /// On connections of its own.
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
pub fn told(error: A2AError) -> String {
    format!("{} {}", error.code, error.message)
}

async fn all(mut events: Events) -> Result<Record, String> {
    let mut record = Record::default();
    while let Some(event) = events.next().await {
        record.hear(event.map_err(told)?)?;
    }
    Ok(record)
}

impl Scenarios {
    pub fn new(sdk: Sdk, other: Sdk) -> Self {
        Self { sdk, other }
    }

    pub async fn run(&self, name: &str) -> Seen {
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

    pub async fn send(&self, content: &str, to: To) -> Result<Task, String> {
        self.sdk.send(text(content), to).await.map_err(told)
    }

    pub async fn streamed(&self, content: &str, to: To) -> Result<Record, String> {
        all(self.sdk.stream(text(content), to).await.map_err(told)?).await
    }

    /// The task read back is what was heard.
    pub async fn same(&self, heard: &Task) -> Result<(), String> {
        let found = self.sdk.get(&heard.id, None).await.map_err(told)?;
        equal(&found.status, &heard.status, "status read back")?;
        let [found, heard] = [found, heard.clone()].map(|task| task.artifacts.unwrap_or_default());
        equal(found, heard, "artifacts read back")
    }

    /// The card is accepted, and leads those who ask for nothing in particular to an agent that answers.
    async fn card(&self) -> Seen {
        let card = &self.sdk.card;
        equal(
            (card.capabilities.streaming, card.skills.is_empty()),
            (Some(true), false),
            "streaming and skills",
        )?;
        let task = self.sdk.usual(text("hello")).await.map_err(told)?;
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

    /// The card for those who may see more is given where the public one says that there is one.
    async fn extended(&self) -> Seen {
        let (public, extended) = (&self.sdk.card, self.sdk.extended().await.map_err(told)?);
        equal(public.capabilities.extended_agent_card, Some(true), "what the public card says")?;
        equal((&extended.name, &extended.skills), (&public.name, &public.skills), "card")?;
        Ok(Value::Null)
    }

    /// A message is answered with the completed task.
    async fn sends(&self) -> Seen {
        let task = self.send("hello, agent", To::default()).await?;
        let hello = vec!["hello, agent".to_owned()];
        equal(
            (&task.status.state, texts(&task)),
            (&TaskState::Completed, hello.clone()),
            "state and artifact",
        )?;
        equal(asked(&task), hello, "messages of the client")?;
        self.same(&task).await?;
        Ok(Value::Null)
    }

    /// A stream begins with the task, tells its progress and chunks in order, and ends with its last state.
    async fn streams(&self) -> Seen {
        let record =
            self.streamed("!progress 3; chunks 4 16; complete that is all", To::default()).await?;
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
        equal(numbers(record.task()?), vec![1, 2, 3, 4], "content")?;
        equal(
            record.statuses.last().map(|(state, _)| state),
            Some(&TaskState::Completed),
            "last state",
        )?;
        self.same(record.task()?).await?;
        Ok(Value::Null)
    }

    /// A question ends the stream; the answer completes the same task. The same without streams.
    async fn turns(&self) -> Seen {
        let record = self.streamed("!ask which one?", To::default()).await?;
        let asking = record.task()?;
        let question = (&asking.status.state, said(asking.status.message.as_ref()));
        equal(question, (&TaskState::InputRequired, "which one?".to_owned()), "question")?;
        let record = self.streamed("the red one", To::task(asking)).await?;
        let answered = record.task()?;
        equal((&answered.id, &answered.context_id), (&asking.id, &asking.context_id), "the task")?;
        let outcome = (&answered.status.state, texts(answered));
        equal(outcome, (&TaskState::Completed, vec!["the red one".to_owned()]), "outcome")?;
        self.same(answered).await?;

        let mut task = self.send("!ask-until yes", To::default()).await?;
        for (answer, state) in [("no", TaskState::InputRequired), ("yes", TaskState::Completed)] {
            task = self.send(answer, To::task(&task)).await?;
            equal(&task.status.state, &state, "state after an answer")?;
        }
        equal(
            asked(&task),
            ["!ask-until yes", "no", "yes"].map(str::to_owned).to_vec(),
            "messages of the client",
        )?;
        Ok(Value::Null)
    }

    /// A task is read with as much of its history as is asked for.
    async fn gets(&self) -> Seen {
        let task = self.send("!ask", To::default()).await?;
        let task = self.send("fine", To::task(&task)).await?;
        let whole = self.sdk.get(&task.id, None).await.map_err(told)?;
        equal(asked(&whole), vec!["!ask".to_owned(), "fine".to_owned()], "whole history")?;
        let newest = self.sdk.get(&task.id, Some(1)).await.map_err(told)?;
        equal(asked(&newest), vec!["fine".to_owned()], "the newest message")?;
        Ok(Value::Null)
    }

    /// The tasks of a context come in pages, newest first, and by state.
    async fn list(&self) -> Seen {
        let context = a2a::new_context_id();
        let mut newest = Vec::new();
        for content in ["one", "two", "!ask three?"] {
            let task =
                self.send(content, To { context: Some(context.clone()), ..To::default() }).await?;
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
                let page = self.sdk.list(&request).await.map_err(told)?;
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

    /// A cancel ends the task, for who cancels and for who listens.
    async fn cancel(&self) -> Seen {
        let mut events = self.sdk.stream(text("!hang"), To::default()).await.map_err(told)?;
        let (mut record, mut answer) = (Record::default(), None);
        while let Some(event) = events.next().await {
            record.hear(event.map_err(told)?)?;
            if answer.is_none() && record.task()?.status.state == TaskState::Working {
                answer = Some(self.sdk.cancel(&record.task()?.id).await.map_err(told)?);
            }
        }
        let state = answer.map(|task| task.status.state);
        equal(state.as_ref(), Some(&TaskState::Canceled), "answer to the cancel")?;
        equal(&record.task()?.status.state, &TaskState::Canceled, "end of the stream")?;
        self.same(record.task()?).await?;
        Ok(Value::Null)
    }

    /// The stream is dropped in the middle, its connection with it; who subscribes again misses nothing.
    async fn resubscribe(&self) -> Seen {
        let script = format!("!chunks {CHUNKS} 16 20; listen 1");
        let mut events = self.sdk.stream(text(&script), To::default()).await.map_err(told)?;
        let mut record = Record::default();
        while record.chunks.len() < 5 {
            let event = events.next().await.ok_or("the stream ended early")?;
            record.hear(event.map_err(told)?)?;
        }
        drop(events);
        let task = record.task()?;
        let mut events = self.other.subscribe(&task.id).await.map_err(told)?;
        let (mut again, mut answered) = (Record::default(), false);
        while let Some(event) = events.next().await {
            again.hear(event.map_err(told)?)?;
            if !answered && texts(again.task()?).len() == CHUNKS {
                answered = true;
                self.send("go", To { immediately: true, ..To::task(task) }).await?;
            }
        }
        let after = again.chunks.len();
        if CHUNKS - after < 5 {
            return Err(format!("{after} chunks after the first event"));
        }
        equal(numbers(again.task()?), (1..=CHUNKS).collect(), "chunks")?;
        equal(&again.task()?.status.state, &TaskState::Completed, "state")?;
        equal(
            again.statuses.iter().any(|(_, said)| said == "heard: go"),
            true,
            "answer to the message",
        )?;
        self.same(again.task()?).await?;
        Ok(json!({ "before": CHUNKS - after, "after": after }))
    }
}
