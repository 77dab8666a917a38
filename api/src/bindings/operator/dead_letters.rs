//! Dead letters over HTTP.

use super::{
    ApiResult, AppState, OperatorCaller,
    input::{
        OwnedName, QueryInput, dead_letter_filter, invalid, page_limit, read, read_cursor,
        write_cursor,
    },
    response::ok,
    views,
};
use crate::{bindings::response::log_entry_view, service::operate};
use axum::{
    extract::{Request, State},
    response::Response,
};
use longhaul_wire::{
    operator::{
        BulkRedriveAnswer, DeadLetterDetail, DeadLetterPage, DeadLetterQuery, DismissAnswer,
        RedriveAnswer, RedrivenTask,
    },
    v1::V1,
};

pub async fn list(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    QueryInput(input): QueryInput<DeadLetterQuery>,
) -> ApiResult {
    let (filter, limit) = (dead_letter_filter(&input)?, page_limit(&input)?);
    let after = input.after.as_deref().filter(|text| !text.is_empty());
    let after = after.map(read_cursor).transpose()?;
    let page = state.service.dead(&caller, &filter, after, limit).await?;
    let dead = page.letters.iter().map(views::letter).collect();
    Ok(ok(&DeadLetterPage { dead, next: page.next.map(write_cursor) }))
}

pub async fn show(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    let dead = state.service.dead_task(&caller, &owner, &task).await?;
    let log = dead.log.iter().filter_map(log_entry_view).collect();
    Ok(ok(&DeadLetterDetail { letter: views::letter(&dead.letter), task: V1(&dead.task), log }))
}

pub async fn redrive(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    let done = state.service.redrive(&caller, &owner, &task).await?;
    Ok(ok(&RedriveAnswer { already: done.already, task_id: done.to.to_string() }))
}

pub async fn dismiss(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    OwnedName(owner, task): OwnedName,
) -> ApiResult {
    let already = state.service.dismiss(&caller, &owner, &task).await?;
    Ok(ok(&DismissAnswer { already, dismissed: true }))
}

pub async fn redrive_many(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
    request: Request,
) -> Result<Response, super::ApiError> {
    let input: DeadLetterQuery = read(&state, request.into_body()).await?;
    let (filter, limit) = (dead_letter_filter(&input)?, page_limit(&input)?);
    if filter.handled || input.after.is_some() {
        return Err(invalid("handled and after have no meaning here; leave them out"));
    }
    let done = state.service.redrive_many(&caller, &filter, limit).await?;
    let pair = |task: &operate::RedrivenTask| RedrivenTask {
        already: task.already,
        from: task.from.to_string(),
        to: task.to.to_string(),
    };
    let redriven = done.redriven.iter().map(pair).collect();
    Ok(ok(&BulkRedriveAnswer { more: done.more, redriven }))
}
