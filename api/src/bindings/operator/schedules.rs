//! Schedules over HTTP.

use super::{
    Answer, Gate, Operator,
    answer::{created, ok},
    input::{Asked, Named, invalid, read},
    views,
};
use crate::service::operate::Wanted;
use axum::extract::{Request, State};
use longhaul_domain::{AgentName, ContextId, Message, MessageId, Part, Role};
use longhaul_store::MissedRuns;
use longhaul_wire::v1::read_message_template;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::collections::HashMap;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Which {
    owner: Option<String>,
}

/// A schedule as it is to be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    agent: String,
    cron: String,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    missed: Option<MissedRuns>,
    #[serde(default)]
    message: Option<Box<RawValue>>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    context_id: Option<String>,
    #[serde(default)]
    paused: Option<bool>,
}

impl Body {
    fn wanted(self) -> Result<Wanted, super::Failed> {
        let message = match (self.message, self.text) {
            (Some(message), None) => read_message(&message)?,
            (None, Some(text)) if !text.is_empty() => said(text)?,
            _ => return Err(invalid("give one of message and text, and say something in it")),
        };
        let context = self.context_id.or_else(|| message.context_id.clone().map(String::from));
        let context = context.map(ContextId::new).transpose();
        Ok(Wanted {
            agent: AgentName::unreserved(self.agent)
                .map_err(|why| invalid(format!("agent: {why}")))?,
            cron: self.cron,
            time_zone: self.time_zone.unwrap_or_else(|| "UTC".to_owned()),
            missed: self.missed.unwrap_or_default(),
            message,
            context: context.map_err(|why| invalid(format!("contextId: {why}")))?,
            paused: self.paused,
        })
    }
}

fn read_message(raw: &RawValue) -> Result<Message, super::Failed> {
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

fn said(text: String) -> Result<Message, super::Failed> {
    // Every task gets a message with an id of its own; this one stands for it.
    let id = MessageId::new("template").map_err(|why| invalid(why.to_string()))?;
    Ok(Message::new(id, Role::User, vec![Part::text(text)]))
}

pub async fn list(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Asked(which): Asked<Which>,
) -> Answer {
    let owner = which.owner.as_deref().filter(|owner| !owner.is_empty());
    let found = gate.service.schedules(&caller, owner).await?;
    let schedules: Vec<_> = found.iter().map(views::Planned).collect();
    Ok(ok(&HashMap::from([("schedules", schedules)])))
}

pub async fn show(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
) -> Answer {
    Ok(ok(&views::Planned(&gate.service.schedule(&caller, &owner, &name).await?)))
}

pub async fn put(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
    request: Request,
) -> Answer {
    let body: Body = read(&gate, request.into_body()).await?;
    let wanted = body.wanted()?;
    let (planned, is_new) = gate.service.put_schedule(&caller, &owner, &name, wanted).await?;
    let view = views::Planned(&planned);
    Ok(if is_new { created(&view) } else { ok(&view) })
}

pub async fn delete(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
) -> Answer {
    gate.service.delete_schedule(&caller, &owner, &name).await?;
    Ok(ok(&json!({"deleted": true})))
}

pub async fn pause(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
) -> Answer {
    Ok(ok(&views::Planned(&gate.service.pause_schedule(&caller, &owner, &name, true).await?)))
}

pub async fn resume(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
) -> Answer {
    Ok(ok(&views::Planned(&gate.service.pause_schedule(&caller, &owner, &name, false).await?)))
}

pub async fn fire(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, name): Named,
) -> Answer {
    let task = gate.service.fire_schedule(&caller, &owner, &name).await?;
    Ok(ok(&json!({"taskId": task.to_string()})))
}
