//! The log of a task and the list of agents, beside A2A: for `longhaul tasks log` and `longhaul agents`, and for scripts.

use super::reply::Reply;
use crate::{
    bindings::{
        Gate,
        answer::Written,
        request::{Marks, caller, check_scope},
    },
    service::{Caller, Held, LogRange, LogStart, MAX_PAGE_ENTRIES, TaskLog},
};
use axum::{
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::request::Parts,
    response::Response,
};
use chrono::SecondsFormat;
use longhaul_domain::{AgentDescriptor, EntryKind, LogEntry, Seq};
use longhaul_wire::{Operation, ProtocolError, RunReport, TaskRef};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use std::sync::Arc;
use tracing::Instrument;

/// Entries of a page when nobody says.
const DEFAULT_PAGE_ENTRIES: u32 = 100;

/// The query of a log.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogQuery {
    after: Option<i64>,
    tail: Option<u32>,
    limit: Option<u32>,
    kind: Option<String>,
}

impl LogQuery {
    fn of(parts: &Parts) -> Result<LogRange, ProtocolError> {
        let read: Result<Query<Self>, _> = Query::try_from_uri(&parts.uri);
        let Query(asked) =
            read.map_err(|error| ProtocolError::invalid("query", error.body_text()))?;
        let from = match (asked.after, asked.tail) {
            (Some(_), Some(_)) => {
                return Err(ProtocolError::invalid("tail", "cannot stand beside after; give one"));
            }
            (Some(seq), None) if seq < 0 => {
                return Err(ProtocolError::invalid("after", "must be the seq of an entry, or 0"));
            }
            (Some(seq), None) => LogStart::After(Seq(seq)),
            (None, Some(entries)) => LogStart::Tail(entries),
            (None, None) => LogStart::After(Seq::START),
        };
        let limit = asked.limit.or(asked.tail).unwrap_or(DEFAULT_PAGE_ENTRIES);
        if !(1..=MAX_PAGE_ENTRIES).contains(&limit) {
            let why = format!("must be from 1 to {MAX_PAGE_ENTRIES}");
            return Err(ProtocolError::invalid("limit", why));
        }
        let notes = match asked.kind.as_deref() {
            None | Some("") => false,
            Some("note") => true,
            Some(_) => return Err(ProtocolError::invalid("kind", "must be note, or be left out")),
        };
        Ok(LogRange { from, limit, notes })
    }
}

/// A page of a log, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogPage<'a> {
    task_id: String,
    context_id: &'a str,
    agent: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunReport>,
    entries: Vec<EntryView>,
    next: i64,
    more: bool,
}

#[derive(Serialize)]
struct EntryView {
    seq: i64,
    at: String,
    attempt: i32,
    kind: &'static str,
    body: Box<RawValue>,
}

impl EntryView {
    fn of(entry: &LogEntry) -> Option<Self> {
        let kind = match entry.body.kind() {
            EntryKind::Message => "message",
            EntryKind::Status => "status",
            EntryKind::Artifact => "artifact",
            EntryKind::Note => "note",
        };
        Some(Self {
            seq: entry.seq.0,
            at: entry.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            attempt: entry.attempt,
            kind,
            body: RawValue::from_string(entry.body.encode()).ok()?,
        })
    }
}

/// Answers with a page of the log of the caller's task.
pub async fn of_task(
    State(gate): State<Gate>,
    Path(task): Path<String>,
    request: Request,
) -> Response {
    answer(&gate, request, async |parts: &Parts, caller: &Caller| {
        let range = LogQuery::of(parts)?;
        let page = gate.service.task_log(caller, &TaskRef::parse(&task), range).await?;
        Ok((written(&page.answer), page.held))
    })
    .await
}

/// Answers with the agents of the deployment.
pub async fn agents(State(gate): State<Gate>, request: Request) -> Response {
    answer(&gate, request, async |_: &Parts, caller: &Caller| {
        let agents = gate.service.agents(caller).await?;
        let view = |(agent, default): &(Arc<AgentDescriptor>, bool)| {
            json!({
                "name": agent.name.as_str(),
                "description": agent.description,
                "version": agent.version,
                "default": default,
                "inputModes": agent.input_modes,
                "outputModes": agent.output_modes,
            })
        };
        let agents: Vec<_> = agents.iter().map(view).collect();
        Ok((serde_json::to_vec(&json!({"agents": agents})), Held::default()))
    })
    .await
}

type Shown = (serde_json::Result<Vec<u8>>, Held);

/// Finds out who asks, checks that they may read, and writes what they get.
async fn answer(
    gate: &Gate,
    request: Request,
    show: impl AsyncFnOnce(&Parts, &Caller) -> Result<Shown, ProtocolError>,
) -> Response {
    let (parts, _) = request.into_parts();
    let marks = Marks::of_request(gate, &parts);
    let (span, request_id) = (marks.span(), marks.request_id.clone());
    let reply = Reply::plain();
    let shown = async {
        let caller = caller(gate, &parts.headers, marks, None).await?;
        check_scope(&caller, Operation::Get)?;
        show(&parts, &caller).await
    };
    match shown.instrument(span).await {
        Ok((Ok(bytes), held)) => reply.ok(Bytes::from_owner(Written::new(bytes, held))),
        Ok((Err(error), _)) => {
            tracing::error!(%error, request_id, "answer cannot be written");
            reply.refuse(&ProtocolError::Internal { request_id }, None)
        }
        Err(error) => reply.refuse(&error, None),
    }
}

fn written(log: &TaskLog) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&LogPage {
        task_id: log.task.key.task.to_string(),
        context_id: log.task.context.as_str(),
        agent: log.task.agent.as_str(),
        state: log.state.name(),
        run: log.run.as_ref(),
        entries: log.entries.iter().filter_map(EntryView::of).collect(),
        next: log.next.0,
        more: log.more,
    })
}
