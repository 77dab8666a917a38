//! Schedules over HTTP.

use super::{
    ApiResult, AppState, OperatorCaller,
    input::{OwnedName, QueryInput, invalid, read},
    response::{created, ok},
    views,
};
use crate::service::operate::ScheduleSpec;
use axum::extract::{Request, State};
use longhaul_domain::{AgentName, ContextId, Message, MessageId, Part, Role};
use longhaul_store::MissedRuns;
use longhaul_wire::{operator as wire, v1::read_message_template};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleQuery {
    owner: Option<String>,
}

/// The schedule that a body asks for.
fn requested_schedule(body: wire::ScheduleSpec) -> Result<ScheduleSpec, super::ApiError> {
    let message = match (body.message, body.text) {
        (Some(message), None) => read_message(&message)?,
        (None, Some(text)) if !text.is_empty() => text_message(text)?,
        _ => return Err(invalid("give one of message and text, and say something in it")),
    };
    let context = body.context_id.or_else(|| message.context_id.clone().map(String::from));
    let context = context.map(ContextId::new).transpose();
    Ok(ScheduleSpec {
        agent: AgentName::unreserved(body.agent).map_err(|why| invalid(format!("agent: {why}")))?,
        cron: body.cron,
        time_zone: body.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        missed: match body.missed.unwrap_or_default() {
            wire::MissedFirings::Skip => MissedRuns::Skip,
            wire::MissedFirings::Once => MissedRuns::Once,
            wire::MissedFirings::All => MissedRuns::All,
        },
        message,
        context: context.map_err(|why| invalid(format!("contextId: {why}")))?,
        paused: body.paused,
    })
}

fn read_message(raw: &RawValue) -> Result<Message, super::ApiError> {
    let (message, task) = read_message_template(raw).map_err(|violations| {
        let lines: Vec<String> = violations
            .into_iter()
            .map(|violation| format!("message.{} {}", violation.field, violation.description))
            .collect();
        invalid(lines.join("; "))
    })?;
    if task.is_some() {
        return Err(invalid("message.taskId: every firing makes a task of its own; leave it out"));
    }
    Ok(message)
}

fn text_message(text: String) -> Result<Message, super::ApiError> {
    // A placeholder: every task's message gets its own id.
    let id = MessageId::new("template").map_err(|why| invalid(why.to_string()))?;
    Ok(Message::new(id, Role::User, vec![Part::text(text)]))
}

pub async fn list(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    QueryInput(query): QueryInput<ScheduleQuery>,
) -> ApiResult {
    let owner = query.owner.as_deref().filter(|owner| !owner.is_empty());
    let found = state.service.schedules(&caller, owner).await?;
    let schedules = found.iter().map(views::schedule).collect();
    Ok(ok(&wire::ScheduleList { schedules }))
}

pub async fn show(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
) -> ApiResult {
    Ok(ok(&views::schedule(&state.service.schedule(&caller, &owner, &name).await?)))
}

pub async fn put(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
    request: Request,
) -> ApiResult {
    let body: wire::ScheduleSpec = read(&state, request.into_body()).await?;
    let spec = requested_schedule(body)?;
    let (schedule, is_new) = state.service.put_schedule(&caller, &owner, &name, spec).await?;
    let view = views::schedule(&schedule);
    Ok(if is_new { created(&view) } else { ok(&view) })
}

pub async fn delete(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
) -> ApiResult {
    state.service.delete_schedule(&caller, &owner, &name).await?;
    Ok(ok(&wire::DeleteAnswer { deleted: true }))
}

pub async fn pause(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
) -> ApiResult {
    Ok(ok(&views::schedule(&state.service.pause_schedule(&caller, &owner, &name, true).await?)))
}

pub async fn resume(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
) -> ApiResult {
    Ok(ok(&views::schedule(&state.service.pause_schedule(&caller, &owner, &name, false).await?)))
}

pub async fn fire(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, name): OwnedName,
) -> ApiResult {
    let task = state.service.fire_schedule(&caller, &owner, &name).await?;
    Ok(ok(&wire::FireAnswer { task_id: task.to_string() }))
}
