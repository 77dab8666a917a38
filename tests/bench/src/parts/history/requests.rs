//! The read requests.

use super::{
    distribution::{LARGE_OWNER_EVERY, LONG_CONTEXT, RARE_TASKS, TaskDistribution},
    page_token,
    reads::{AnswerCheck, ReadRequest, ReadRequests},
};
use crate::{http::HttpConnection, stack::BenchStack};
use serde_json::{Value, json};

/// Most distinct tasks, contexts and positions per kind of request.
const MAX_SAMPLES: usize = 300;

/// Tasks per page.
const PAGE_TASKS: usize = 50;

/// A task of the large owner.
struct SampleTask {
    id: String,
    context: String,
    /// Time of its status, in milliseconds since 1970.
    millis: i64,
    parked: bool,
    number: usize,
}

/// Requests of every kind.
pub async fn all(
    stack: &BenchStack,
    distribution: TaskDistribution,
    events: usize,
) -> Vec<ReadRequests> {
    let samples = samples(stack, distribution).await;
    let mut requests = tasks(&samples);
    requests.extend(long_tasks(stack, distribution, events).await);
    requests.extend(lists(&samples, distribution));
    requests.push(deep(stack, &samples).await);
    requests
}

/// Tasks of the large owner, spread over its history.
async fn samples(stack: &BenchStack, distribution: TaskDistribution) -> Vec<SampleTask> {
    let apart = (distribution.large() / MAX_SAMPLES).max(1) * LARGE_OWNER_EVERY;
    let parked = (distribution.large() / MAX_SAMPLES).max(100) / 100 * 100 * LARGE_OWNER_EVERY;
    let sql = format!(
        "select bench_task(i)::text, bench_context(i), (extract(epoch from bench_at(i)) * 1000)::int8, bench_state(i) = 6, i
        from (
            select i from generate_series({LARGE_OWNER_EVERY}::int8, {tasks}, {apart}) i
            union all
            select i + 99 * {LARGE_OWNER_EVERY} from generate_series({parked}::int8, {tasks} - 1000, {parked}) i
        ) numbers",
        tasks = distribution.tasks,
    );
    let rows = stack.probe.as_ref().expect("it has Postgres").rows(&sql).await;
    let sample = |row: &tokio_postgres::Row| SampleTask {
        id: row.get(0),
        context: row.get(1),
        millis: row.get(2),
        parked: row.get(3),
        number: usize::try_from(row.get::<_, i64>(4)).unwrap_or_default(),
    };
    // The random end of an id gives an order unrelated to time.
    let mut samples: Vec<SampleTask> = rows.iter().map(sample).collect();
    samples.sort_by(|one, two| one.id[24..].cmp(&two.id[24..]));
    samples
}

/// Reads of single tasks.
fn tasks(samples: &[SampleTask]) -> Vec<ReadRequests> {
    let get = |history: Option<u32>| {
        samples
            .iter()
            .map(|sample| {
                let mut params = json!({"id": sample.id});
                if let Some(history) = history {
                    params["historyLength"] = json!(history);
                }
                let (id, number) = (sample.id.clone(), sample.number);
                let check: AnswerCheck = Box::new(move |task| {
                    let artifacts = usize::from(number / 5 % 5 == 0);
                    ensure(task["id"] == id.as_str(), "another task")?;
                    ensure(length(&task["artifacts"]) == artifacts, "other artifacts")?;
                    ensure(
                        length(&task["history"]) == usize::from(history != Some(0)),
                        "other history",
                    )
                });
                ReadRequest { path: "/", method: "GetTask", params, check }
            })
            .collect()
    };
    let subscribe = samples.iter().filter(|sample| sample.parked).map(|sample| {
        let id = sample.id.clone();
        let check: AnswerCheck =
            Box::new(move |event| ensure(event["task"]["id"] == id.as_str(), "another task"));
        ReadRequest {
            path: "/",
            method: "SubscribeToTask",
            params: json!({"id": sample.id}),
            check,
        }
    });
    vec![
        ReadRequests { what: "GetTask", requests: get(None) },
        ReadRequests { what: "GetTask, historyLength 0", requests: get(Some(0)) },
        ReadRequests { what: "SubscribeToTask, its snapshot", requests: subscribe.collect() },
    ]
}

/// Reads of the two long tasks.
async fn long_tasks(
    stack: &BenchStack,
    distribution: TaskDistribution,
    events: usize,
) -> Vec<ReadRequests> {
    let sql =
        format!("select bench_task({0} + 1)::text, bench_task({0} + 2)::text", distribution.tasks);
    let rows = stack.probe.as_ref().expect("it has Postgres").rows(&sql).await;
    let (chunks, messages): (String, String) = (rows[0].get(0), rows[0].get(1));
    let one = |what, method, id: &str, history: Option<usize>, parts: usize, said: usize| {
        let mut params = json!({"id": id});
        if let Some(history) = history {
            params["historyLength"] = json!(history);
        }
        let check: AnswerCheck = Box::new(move |result| {
            let task = result.get("task").unwrap_or(result);
            ensure(length(&task["artifacts"][0]["parts"]) == parts, "other parts")?;
            ensure(length(&task["history"]) == said, "other history")
        });
        ReadRequests { what, requests: vec![ReadRequest { path: "/", method, params, check }] }
    };
    let parts = events - 2;
    vec![
        one("GetTask, 100,000 chunks", "GetTask", &chunks, None, parts, 1),
        one("GetTask, 100,000 chunks, historyLength 0", "GetTask", &chunks, Some(0), parts, 0),
        one("SubscribeToTask, 100,000 chunks", "SubscribeToTask", &chunks, None, parts, 1),
        one("GetTask, 100,000 messages", "GetTask", &messages, None, 0, 1_000),
        one("GetTask, 100,000 messages, historyLength 10", "GetTask", &messages, Some(10), 0, 10),
        one("SubscribeToTask, 100,000 messages", "SubscribeToTask", &messages, None, 0, 1_000),
    ]
}

/// Lists by every filter.
fn lists(samples: &[SampleTask], distribution: TaskDistribution) -> Vec<ReadRequests> {
    let one = |what, path, filter: Value, tasks: usize| ReadRequests {
        what,
        requests: vec![page(path, filter, tasks)],
    };
    let contexts = samples.iter().filter(|sample| sample.context != LONG_CONTEXT);
    // A context has fifty tasks, ten of the large owner; every second one lacks the first of these,
    // which is in the long context.
    let by_context = contexts.map(|sample| {
        let tasks = 10 - usize::from((sample.number / 50).is_multiple_of(2));
        page("/", json!({"contextId": sample.context}), tasks)
    });
    let long = (distribution.tasks / 100).min(PAGE_TASKS);
    let mut newest: Vec<&SampleTask> = samples.iter().collect();
    newest.sort_by_key(|sample| std::cmp::Reverse(sample.millis));
    let recent = chrono::DateTime::from_timestamp_millis(newest[0].millis - 3_600_000);
    let recent = recent.expect("a time of ours").to_rfc3339();
    vec![
        one("ListTasks, first page", "/", json!({}), PAGE_TASKS),
        ReadRequests { what: "ListTasks, a conversation of 10", requests: by_context.collect() },
        one("ListTasks, a long conversation", "/", json!({"contextId": LONG_CONTEXT}), long),
        one("ListTasks, completed", "/", json!({"status": "TASK_STATE_COMPLETED"}), PAGE_TASKS),
        one(
            "ListTasks, rejected (20 in all)",
            "/",
            json!({"status": "TASK_STATE_REJECTED"}),
            RARE_TASKS,
        ),
        one("ListTasks, agent script", "/agents/script", json!({}), PAGE_TASKS),
        one("ListTasks, agent rare (20 in all)", "/agents/rare", json!({}), RARE_TASKS),
        one("ListTasks, an hour's statuses", "/", json!({"statusTimestampAfter": recent}), 1),
    ]
}

/// Pages from all over the list of all tasks.
async fn deep(stack: &BenchStack, samples: &[SampleTask]) -> ReadRequests {
    let mut connection = HttpConnection::open(stack.base()).await.expect("the node answers");
    let first = connection.call("/", "ListTasks", &json!({"pageSize": PAGE_TASKS})).await;
    let first = first.expect("the node answers").json();
    let first = first.pointer("/result/nextPageToken").and_then(Value::as_str);
    let first = first.expect("there are more pages");
    let requests = samples
        .iter()
        .filter(|sample| sample.number > 5 * PAGE_TASKS * LARGE_OWNER_EVERY)
        .map(|sample| {
            let id = u128::from_str_radix(&sample.id.replace('-', ""), 16).expect("an id of ours");
            let token = page_token::at(first, sample.millis, id);
            page("/", json!({"pageToken": token}), PAGE_TASKS)
        });
    ReadRequests { what: "ListTasks, a page deep inside", requests: requests.collect() }
}

/// A page that must have at least `tasks` tasks or a token for more, newest first, all within the
/// filter.
fn page(path: &'static str, mut filter: Value, tasks: usize) -> ReadRequest {
    let wanted = filter.clone();
    filter["pageSize"] = json!(PAGE_TASKS);
    let check: AnswerCheck = Box::new(move |result| {
        let found = result["tasks"].as_array().ok_or("no tasks")?;
        let more = result["nextPageToken"].as_str().is_some_and(|token| !token.is_empty());
        ensure(found.len() >= tasks || more, "too few tasks")?;
        let times: Vec<&str> =
            found.iter().filter_map(|task| task["status"]["timestamp"].as_str()).collect();
        ensure(times.len() == found.len() && times.is_sorted_by(|a, b| a >= b), "out of order")?;
        let fits = |task: &Value| {
            let same = |of: &Value, name: &str| wanted.get(name).is_none_or(|want| want == of);
            same(&task["contextId"], "contextId") && same(&task["status"]["state"], "status")
        };
        ensure(found.iter().all(fits), "a task that does not fit")
    });
    ReadRequest { path, method: "ListTasks", params: filter, check }
}

fn length(of: &Value) -> usize {
    of.as_array().map_or(0, Vec::len)
}

fn ensure(right: bool, wrong: &str) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong.to_owned()) }
}
