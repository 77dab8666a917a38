//! Dead letters over HTTP.

use super::{
    ApiResult, AppState, OperatorCaller,
    input::{
        DEFAULT_PAGE_SIZE, FilterInput, MAX_PAGE_SIZE, OwnedName, QueryInput, invalid, read,
        read_cursor, write_cursor,
    },
    response::ok,
    views,
};
use crate::bindings::response::LogEntryView;
use axum::{
    extract::{Request, State},
    response::Response,
};
use longhaul_wire::v1::V1;
use serde::Serialize;
use serde_json::{Value, json};

pub async fn list(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    QueryInput(input): QueryInput<FilterInput>,
) -> ApiResult {
    let (filter, limit) = (input.read()?, input.limit(DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)?);
    let after = input.after.as_deref().filter(|text| !text.is_empty());
    let after = after.map(read_cursor).transpose()?;
    let page = state.service.dead(&caller, &filter, after, limit).await?;
    let dead: Vec<Value> = page.letters.iter().map(views::letter).collect();
    Ok(ok(&json!({"dead": dead, "next": page.next.map(write_cursor)})))
}

pub async fn show(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    #[derive(Serialize)]
    struct DeadTaskView<'a> {
        letter: Value,
        task: V1<'a, longhaul_domain::Task>,
        log: Vec<LogEntryView>,
    }
    let dead = state.service.dead_task(&caller, &owner, &task).await?;
    let log = dead.log.iter().filter_map(LogEntryView::new).collect();
    Ok(ok(&DeadTaskView { letter: views::letter(&dead.letter), task: V1(&dead.task), log }))
}

pub async fn redrive(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    let done = state.service.redrive(&caller, &owner, &task).await?;
    Ok(ok(&json!({"taskId": done.to.to_string(), "already": done.already})))
}

pub async fn dismiss(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    let already = state.service.dismiss(&caller, &owner, &task).await?;
    Ok(ok(&json!({"dismissed": true, "already": already})))
}

pub async fn redrive_many(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    request: Request,
) -> Result<Response, super::ApiError> {
    let input: FilterInput = read(&state, request.into_body()).await?;
    let (filter, limit) = (input.read()?, input.limit(DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)?);
    if filter.handled || input.after.is_some() {
        return Err(invalid("handled and after have no meaning here; leave them out"));
    }
    let done = state.service.redrive_many(&caller, &filter, limit).await?;
    let pair = |done: &crate::service::operate::RedrivenTask| json!({"from": done.from.to_string(), "to": done.to.to_string(), "already": done.already});
    let redriven: Vec<Value> = done.redriven.iter().map(pair).collect();
    Ok(ok(&json!({"redriven": redriven, "more": done.more})))
}
