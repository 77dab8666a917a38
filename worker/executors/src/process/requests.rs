//! Requests of a plugin, and its open steps.

use super::{
    a2a::{MessageOut, TaskOut},
    frames::{HistoryOut, ReplyBody, RequestParams},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use longhaul_domain::{
    ArtifactId, BlobHash, BlobKind, BlobRef, Content, HistoryItem, Json, Part, Seq, Task,
};
use longhaul_executor::{ContextError, OpenStep, StepStart, TaskContext};
use std::collections::HashMap;

/// Maximum number of open steps of a run.
const MAX_OPEN_STEPS: usize = 8;

/// The open steps of a run, by name. Their number bounds the output they hold back, and dropping
/// them discards it.
#[derive(Default)]
pub(super) struct OpenSteps(HashMap<String, OpenStepOutput>);

struct OpenStepOutput {
    step: OpenStep,
    last_artifact: Option<ArtifactId>,
}

impl OpenSteps {
    /// Checks that one more step may begin. The error is for the plugin.
    pub fn check_capacity(&self) -> Result<(), String> {
        if self.0.len() < MAX_OPEN_STEPS {
            return Ok(());
        }
        Err(format!("a run has at most {MAX_OPEN_STEPS} steps under way; end one first"))
    }

    /// Adds a step that has begun.
    pub fn open(&mut self, step: OpenStep) {
        self.0.insert(step.name().to_string(), OpenStepOutput { step, last_artifact: None });
    }

    /// The context of a step, and the artifact that it wrote last.
    pub fn get(&mut self, name: &str) -> Option<(TaskContext, &mut Option<ArtifactId>)> {
        let open = self.0.get_mut(name)?;
        Some((open.step.context().clone(), &mut open.last_artifact))
    }

    /// Removes a step that ends.
    pub fn close(&mut self, name: &str) -> Result<OpenStep, String> {
        let open = self.0.remove(name);
        open.map(|open| open.step).ok_or_else(|| format!("step {name:?} is not under way"))
    }

    /// The first open step by name.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().min().map(String::as_str)
    }
}

/// The data of a reply.
pub(super) enum RequestReply {
    Part {
        raw: String,
        size: usize,
    },
    Task(Option<Box<Task>>),
    Tasks(Vec<Task>),
    /// Older messages of the task, oldest first.
    History(Vec<HistoryItem>),
    /// The value of a checkpoint, if it is set.
    Stored(Option<Json>),
    /// The value of a step that is done already.
    Step(Option<Json>),
    Done,
}

/// A failed request.
pub(super) enum RequestError {
    /// The plugin made a mistake, and gets this error.
    Rejected(String),
    /// The run cannot continue, or the store failed.
    Context(ContextError),
}

impl From<ContextError> for RequestError {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::MissingBlob(hash) => Self::Rejected(format!("there is no part {hash}")),
            ContextError::Step(error) => Self::Rejected(error.to_string()),
            error => Self::Context(error),
        }
    }
}

/// Answers a request.
pub(super) async fn answer(
    ctx: &TaskContext,
    steps: &mut OpenSteps,
    method: &str,
    params: RequestParams,
) -> Result<RequestReply, RequestError> {
    Ok(match method {
        "part" => part(ctx, params).await?,
        "task" => {
            let id = params.task_id.ok_or_else(|| rejected("`task` needs params.taskId"))?;
            match id.parse() {
                Ok(id) => RequestReply::Task(ctx.task(id).await?.map(Box::new)),
                Err(_) => RequestReply::Task(None),
            }
        }
        "referencedTasks" => RequestReply::Tasks(ctx.referenced_tasks().await?),
        "earlierTasks" => RequestReply::Tasks(ctx.earlier_tasks(params.limit.unwrap_or(10)).await?),
        "history" => {
            let before = params
                .history_before
                .ok_or_else(|| rejected("`history` needs params.historyBefore"))?;
            RequestReply::History(ctx.earlier_messages(Seq(before)).await?)
        }
        "flush" => {
            ctx.flush().await?;
            RequestReply::Done
        }
        "checkpoint" => {
            RequestReply::Stored(ctx.load_checkpoint(name_param(method, params)?.0).await?)
        }
        "putCheckpoint" => {
            let (name, value) = name_and_value(method, params)?;
            ctx.checkpoint(name, &value).await?;
            RequestReply::Done
        }
        "beginStep" | "endStep" | "dropStep" => return step(ctx, steps, method, params).await,
        other => {
            return Err(rejected(&format!(
                "unknown method {other:?}; known are part, task, referencedTasks, earlierTasks, history, flush, \
                 checkpoint, putCheckpoint, beginStep, endStep, dropStep"
            )));
        }
    })
}

async fn step(
    ctx: &TaskContext,
    steps: &mut OpenSteps,
    method: &str,
    params: RequestParams,
) -> Result<RequestReply, RequestError> {
    match method {
        "beginStep" => {
            let (name, _) = name_param(method, params)?;
            // Before the step begins: its name would be used up otherwise.
            steps.check_capacity().map_err(RequestError::Rejected)?;
            match ctx.begin_step(name).await? {
                StepStart::Done(value) => Ok(RequestReply::Step(Some(value))),
                StepStart::Open(step) => {
                    steps.open(step);
                    Ok(RequestReply::Step(None))
                }
            }
        }
        "endStep" => {
            let (name, value) = name_and_value(method, params)?;
            steps.close(&name).map_err(RequestError::Rejected)?.commit(value).await?;
            Ok(RequestReply::Done)
        }
        _ => {
            let (name, _) = name_param(method, params)?;
            steps.close(&name).map_err(RequestError::Rejected)?;
            Ok(RequestReply::Done)
        }
    }
}

fn name_param(method: &str, params: RequestParams) -> Result<(String, Option<Json>), RequestError> {
    let name = params.name.ok_or_else(|| rejected(&format!("`{method}` needs params.name")))?;
    Ok((name, params.value))
}

fn name_and_value(method: &str, params: RequestParams) -> Result<(String, Json), RequestError> {
    let (name, value) = name_param(method, params)?;
    Ok((name, value.ok_or_else(|| rejected(&format!("`{method}` needs params.value")))?))
}

async fn part(ctx: &TaskContext, params: RequestParams) -> Result<RequestReply, RequestError> {
    let id = params.id.ok_or_else(|| rejected("`part` needs params.id"))?;
    // The store checks that the blob belongs to the task's owner.
    let hash: BlobHash = serde_json::from_value(serde_json::Value::String(id))
        .map_err(|_| rejected("params.id is not the id of a large part"))?;
    // Any kind of content can be read as bytes.
    let reference = BlobRef { hash, size: 0, kind: BlobKind::Raw };
    let bytes = ctx.bytes(&Part::new(Content::Blob(reference))).await?;
    let size = bytes.len();
    // Clamped rather than refused: a read behind the end is empty, as with files.
    let start = params.offset.unwrap_or(0).min(size);
    let end = start.saturating_add(params.length.unwrap_or(size)).min(size);
    Ok(RequestReply::Part { raw: STANDARD.encode(&bytes[start..end]), size })
}

fn rejected(problem: &str) -> RequestError {
    RequestError::Rejected(problem.to_owned())
}

impl RequestReply {
    /// The reply in the form of the protocol.
    pub fn reply(&self) -> ReplyBody<'_> {
        match self {
            Self::Part { raw, size } => ReplyBody::Part { raw, size: *size },
            Self::Task(task) => {
                ReplyBody::Task { task: task.as_deref().map(|task| Box::new(TaskOut::from(task))) }
            }
            Self::Tasks(tasks) => {
                ReplyBody::Tasks { tasks: tasks.iter().map(TaskOut::from).collect() }
            }
            Self::History(items) => ReplyBody::History(HistoryOut {
                messages: items.iter().map(|item| MessageOut::from(&item.message)).collect(),
                history_before: items.first().map(|item| item.seq.0),
            }),
            Self::Stored(Some(value)) => ReplyBody::Stored { found: true, value },
            Self::Stored(None) => ReplyBody::NotStored { found: false },
            Self::Step(Some(value)) => ReplyBody::StepDone { done: true, value },
            Self::Step(None) => ReplyBody::StepBegun { done: false },
            Self::Done => ReplyBody::Done {},
        }
    }
}
