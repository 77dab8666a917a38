//! Dead letters over HTTP.

use super::{
    Answer, Gate, Operator,
    answer::ok,
    input::{Asked, Filter, MOST, Named, PAGE, invalid, read, read_cursor, write_cursor},
    views,
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use longhaul_domain::LogEntry;
use longhaul_wire::v1::V1;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

pub async fn list(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Asked(asked): Asked<Filter>,
) -> Answer {
    let (filter, limit) = (asked.read()?, asked.limit(PAGE, MOST)?);
    let after = asked.after.as_deref().filter(|text| !text.is_empty());
    let after = after.map(read_cursor).transpose()?;
    let page = gate.service.dead(&caller, &filter, after, limit).await?;
    let dead: Vec<Value> = page.letters.iter().map(views::letter).collect();
    Ok(ok(&json!({"dead": dead, "next": page.next.map(write_cursor)})))
}

pub async fn show(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, task): Named,
) -> Answer {
    #[derive(Serialize)]
    struct Shown<'a> {
        letter: Value,
        task: V1<'a, longhaul_domain::Task>,
        log: Vec<Entry>,
    }
    let dead = gate.service.dead_task(&caller, &owner, &task).await?;
    let log = dead.log.iter().filter_map(Entry::of).collect();
    Ok(ok(&Shown { letter: views::letter(&dead.letter), task: V1(&dead.task), log }))
}

/// An entry of a log as it is kept: numbers stay as they were written.
#[derive(Serialize)]
struct Entry {
    seq: i64,
    at: String,
    attempt: i32,
    kind: &'static str,
    body: Box<RawValue>,
}

impl Entry {
    fn of(entry: &LogEntry) -> Option<Self> {
        Some(Self {
            seq: entry.seq.0,
            at: views::time(entry.at),
            attempt: entry.attempt,
            kind: views::kind(entry.body.kind()),
            body: RawValue::from_string(entry.body.encode()).ok()?,
        })
    }
}

pub async fn redrive(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, task): Named,
) -> Answer {
    let done = gate.service.redrive(&caller, &owner, &task).await?;
    Ok(ok(&json!({"taskId": done.to.to_string(), "already": done.already})))
}

pub async fn dismiss(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    Named(owner, task): Named,
) -> Answer {
    let already = gate.service.dismiss(&caller, &owner, &task).await?;
    Ok(ok(&json!({"dismissed": true, "already": already})))
}

pub async fn redrive_many(
    State(gate): State<Gate>,
    Operator(caller): Operator,
    request: Request,
) -> Result<Response, super::Failed> {
    let asked: Filter = read(&gate, request.into_body()).await?;
    let (filter, limit) = (asked.read()?, asked.limit(PAGE, MOST)?);
    if filter.handled || asked.after.is_some() {
        return Err(invalid("handled and after have no meaning here; leave them out"));
    }
    let done = gate.service.redrive_many(&caller, &filter, limit).await?;
    let pair = |done: &crate::service::operate::Redone| json!({"from": done.from.to_string(), "to": done.to.to_string(), "already": done.already});
    let redriven: Vec<Value> = done.redriven.iter().map(pair).collect();
    Ok(ok(&json!({"redriven": redriven, "more": done.more})))
}
