//! The log of a task and the list of agents, beyond A2A: for `longhaul tasks log`, `longhaul
//! agents`, and scripts.

use super::reply::HttpReply;
use crate::{
    bindings::{
        AppState,
        request::{RequestContext, caller, check_scope},
        response::{BudgetedBytes, log_entry_view},
    },
    service::{BudgetPermit, Caller, LogRange, LogStart, MAX_PAGE_ENTRIES, TaskLog},
};
use axum::{
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::request::Parts,
    response::Response,
};
use longhaul_domain::{AgentDescriptor, Seq};
use longhaul_wire::{
    Operation, ProtocolError, TaskRef,
    native::{AgentList, AgentView, TaskLogPage},
};
use serde::Deserialize;
use std::sync::Arc;
use tracing::Instrument;

/// Default number of entries of a page.
const DEFAULT_PAGE_ENTRIES: u32 = 100;

/// Query parameters of a log.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogQuery {
    after: Option<i64>,
    tail: Option<u32>,
    limit: Option<u32>,
    kind: Option<String>,
}

impl LogQuery {
    fn range(parts: &Parts) -> Result<LogRange, ProtocolError> {
        let read: Result<Query<Self>, _> = Query::try_from_uri(&parts.uri);
        let Query(query) =
            read.map_err(|error| ProtocolError::invalid("query", error.body_text()))?;
        let from = match (query.after, query.tail) {
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
        let limit = query.limit.or(query.tail).unwrap_or(DEFAULT_PAGE_ENTRIES);
        if !(1..=MAX_PAGE_ENTRIES).contains(&limit) {
            let why = format!("must be from 1 to {MAX_PAGE_ENTRIES}");
            return Err(ProtocolError::invalid("limit", why));
        }
        let notes = match query.kind.as_deref() {
            None | Some("") => false,
            Some("note") => true,
            Some(_) => return Err(ProtocolError::invalid("kind", "must be note, or be left out")),
        };
        Ok(LogRange { from, limit, notes })
    }
}

/// Answers with a page of the log of the caller's task.
pub async fn task_log_page(
    State(state): State<AppState>,
    Path(task): Path<String>,
    request: Request,
) -> Response {
    answer(&state, request, async |parts: &Parts, caller: &Caller| {
        let range = LogQuery::range(parts)?;
        let page = state.service.task_log(caller, &TaskRef::parse(&task), range).await?;
        Ok((written(&page.value), page.permit))
    })
    .await
}

/// Answers with the agents of the deployment.
pub async fn agents(State(state): State<AppState>, request: Request) -> Response {
    answer(&state, request, async |_: &Parts, caller: &Caller| {
        let agents = state.service.agents(caller).await?;
        let view = |(agent, default): &(Arc<AgentDescriptor>, bool)| AgentView {
            default: *default,
            description: agent.description.clone(),
            input_modes: agent.input_modes.clone(),
            name: agent.name.as_str().to_owned(),
            output_modes: agent.output_modes.clone(),
            version: agent.version.clone(),
        };
        let list = AgentList { agents: agents.iter().map(view).collect() };
        Ok((serde_json::to_vec(&list), BudgetPermit::default()))
    })
    .await
}

type EncodedPage = (serde_json::Result<Vec<u8>>, BudgetPermit);

/// Authenticates the caller, checks the scope, and encodes what `show` returns.
async fn answer(
    state: &AppState,
    request: Request,
    show: impl AsyncFnOnce(&Parts, &Caller) -> Result<EncodedPage, ProtocolError>,
) -> Response {
    let (parts, _) = request.into_parts();
    let context = RequestContext::from_request(state, &parts);
    let (span, request_id) = (context.span(), context.request_id.clone());
    let reply = HttpReply::plain();
    let shown = async {
        let caller = caller(state, &parts.headers, context, None).await?;
        check_scope(&caller, Operation::Get)?;
        show(&parts, &caller).await
    };
    match shown.instrument(span).await {
        Ok((Ok(bytes), permit)) => reply.ok(Bytes::from_owner(BudgetedBytes::new(bytes, permit))),
        Ok((Err(error), _)) => {
            tracing::error!(%error, request_id, "response encoding failed");
            reply.refuse(&ProtocolError::Internal { request_id }, None)
        }
        Err(error) => reply.refuse(&error, None),
    }
}

fn written(log: &TaskLog) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&TaskLogPage {
        task_id: log.task.key.task.to_string(),
        context_id: log.task.context.as_str().to_owned(),
        agent: log.task.agent.as_str().to_owned(),
        state: log.state.name().to_owned(),
        run: log.run.as_ref(),
        entries: log.entries.iter().filter_map(log_entry_view).collect(),
        next: log.next.0,
        more: log.more,
    })
}
