//! What a plugin may ask for.

use super::{
    a2a::{MessageOut, TaskOut},
    frames::{HistoryOut, Params, Reply},
    steps::Steps,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use longhaul_domain::{BlobHash, BlobKind, BlobRef, Content, HistoryItem, Json, Part, Seq, Task};
use longhaul_executor::{ContextError, StepStart, TaskContext};

/// What an answer is made of.
pub(super) enum Answer {
    Part {
        raw: String,
        size: usize,
    },
    Task(Option<Box<Task>>),
    Tasks(Vec<Task>),
    /// Older messages of the task.
    History(Vec<HistoryItem>),
    /// A checkpoint.
    Stored(Option<Json>),
    /// A step: its value when it is done already.
    Step(Option<Json>),
    Done,
}

/// Why there is no answer.
pub(super) enum Refusal {
    /// The plugin is told.
    Told(String),
    /// The run cannot go on, or the store failed.
    Context(ContextError),
}

impl From<ContextError> for Refusal {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::MissingBlob(hash) => Self::Told(format!("there is no part {hash}")),
            ContextError::Step(wrong) => Self::Told(wrong.to_string()),
            error => Self::Context(error),
        }
    }
}

/// Answers a request.
pub(super) async fn answer(
    ctx: &TaskContext,
    steps: &mut Steps,
    method: &str,
    params: Params,
) -> Result<Answer, Refusal> {
    Ok(match method {
        "part" => part(ctx, params).await?,
        "task" => {
            let id = params.task_id.ok_or_else(|| told("`task` needs params.taskId"))?;
            match id.parse() {
                Ok(id) => Answer::Task(ctx.task(id).await?.map(Box::new)),
                Err(_) => Answer::Task(None),
            }
        }
        "referencedTasks" => Answer::Tasks(ctx.referenced_tasks().await?),
        "earlierTasks" => Answer::Tasks(ctx.earlier_tasks(params.limit.unwrap_or(10)).await?),
        "history" => {
            let before = params
                .history_before
                .ok_or_else(|| told("`history` needs params.historyBefore"))?;
            Answer::History(ctx.earlier_messages(Seq(before)).await?)
        }
        "flush" => {
            ctx.flush().await?;
            Answer::Done
        }
        "checkpoint" => Answer::Stored(ctx.load_checkpoint(named(method, params)?.0).await?),
        "putCheckpoint" => {
            let (name, value) = valued(method, params)?;
            ctx.checkpoint(name, &value).await?;
            Answer::Done
        }
        "beginStep" | "endStep" | "dropStep" => return step(ctx, steps, method, params).await,
        other => {
            return Err(told(&format!(
                "unknown method {other:?}; known are part, task, referencedTasks, earlierTasks, history, flush, \
                 checkpoint, putCheckpoint, beginStep, endStep, dropStep"
            )));
        }
    })
}

async fn step(
    ctx: &TaskContext,
    steps: &mut Steps,
    method: &str,
    params: Params,
) -> Result<Answer, Refusal> {
    match method {
        "beginStep" => {
            let (name, _) = named(method, params)?;
            steps.check_room().map_err(Refusal::Told)?;
            match ctx.begin_step(name).await? {
                StepStart::Done(value) => Ok(Answer::Step(Some(value))),
                StepStart::Open(step) => {
                    steps.open(step);
                    Ok(Answer::Step(None))
                }
            }
        }
        "endStep" => {
            let (name, value) = valued(method, params)?;
            steps.close(&name).map_err(Refusal::Told)?.commit(value).await?;
            Ok(Answer::Done)
        }
        _ => {
            let (name, _) = named(method, params)?;
            steps.close(&name).map_err(Refusal::Told)?;
            Ok(Answer::Done)
        }
    }
}

fn named(method: &str, params: Params) -> Result<(String, Option<Json>), Refusal> {
    let name = params.name.ok_or_else(|| told(&format!("`{method}` needs params.name")))?;
    Ok((name, params.value))
}

fn valued(method: &str, params: Params) -> Result<(String, Json), Refusal> {
    let (name, value) = named(method, params)?;
    Ok((name, value.ok_or_else(|| told(&format!("`{method}` needs params.value")))?))
}

async fn part(ctx: &TaskContext, params: Params) -> Result<Answer, Refusal> {
    let id = params.id.ok_or_else(|| told("`part` needs params.id"))?;
    let hash: BlobHash = serde_json::from_value(serde_json::Value::String(id))
        .map_err(|_| told("params.id is not the id of a large part"))?;
    // As bytes any content can be read, whatever its kind.
    let reference = BlobRef { hash, size: 0, kind: BlobKind::Raw };
    let bytes = ctx.bytes(&Part::new(Content::Blob(reference))).await?;
    let size = bytes.len();
    let start = params.offset.unwrap_or(0).min(size);
    let end = start.saturating_add(params.length.unwrap_or(size)).min(size);
    Ok(Answer::Part { raw: STANDARD.encode(&bytes[start..end]), size })
}

fn told(problem: &str) -> Refusal {
    Refusal::Told(problem.to_owned())
}

impl Answer {
    /// As the protocol writes it.
    pub fn reply(&self) -> Reply<'_> {
        match self {
            Self::Part { raw, size } => Reply::Part { raw, size: *size },
            Self::Task(task) => {
                Reply::Task { task: task.as_deref().map(|task| Box::new(TaskOut::from(task))) }
            }
            Self::Tasks(tasks) => Reply::Tasks { tasks: tasks.iter().map(TaskOut::from).collect() },
            Self::History(items) => Reply::History(HistoryOut {
                messages: items.iter().map(|item| MessageOut::from(&item.message)).collect(),
                history_before: items.first().map(|item| item.seq.0),
            }),
            Self::Stored(Some(value)) => Reply::Stored { found: true, value },
            Self::Stored(None) => Reply::NotStored { found: false },
            Self::Step(Some(value)) => Reply::StepDone { done: true, value },
            Self::Step(None) => Reply::StepBegun { done: false },
            Self::Done => Reply::Done {},
        }
    }
}
