use crate::{
    A2aClient, ClientError, ReconnectPolicy, StreamUpdate, TaskStream, stream::StreamStart,
};
use longhaul_domain::TaskState;
use longhaul_runtime::{Backoff, spawn};
use longhaul_wire::{ReceivedEvent, TaskRef};
use serde_json::{Value, json, value::to_raw_value};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A server that answers one connection after the other from a script, and records the requests.
struct ScriptedServer {
    url: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

#[derive(Debug, Clone)]
struct RecordedRequest {
    cursor: Option<String>,
    body: Value,
}

impl ScriptedServer {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&requests);
        spawn("scripted server", async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                recorded.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> A2aClient {
        A2aClient::builder(&self.url).build().unwrap()
    }

    fn methods(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.body["method"].as_str().unwrap().to_owned()).collect()
    }

    fn request(&self, at: usize) -> RecordedRequest {
        self.requests.lock().unwrap()[at].clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> RecordedRequest {
    let mut reader = BufReader::new(stream);
    let (mut length, mut cursor) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            None if line.trim_end().is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("last-event-id") => {
                cursor = Some(value.to_owned());
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    RecordedRequest { cursor, body: serde_json::from_slice(&body).unwrap() }
}

/// A stream without a length: it ends with its connection.
fn event_stream(events: &[(u32, Value)]) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            .to_owned();
    for (id, event) in events {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": event});
        text.extend(["id: ", &id.to_string(), "\ndata: ", &answer.to_string(), "\n\n"]);
    }
    text
}

/// A stream that is shorter than its length, as of a server that was killed.
fn broken_stream(events: &[(u32, Value)]) -> String {
    event_stream(events).replacen("Connection: close", "Content-Length: 100000", 1)
}

fn answer(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn rpc_error(code: i64) -> String {
    answer(&json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no"}}))
}

fn task(state: &str) -> Value {
    json!({"id": "t1", "contextId": "c1", "status": {"state": format!("TASK_STATE_{state}")}})
}

fn snapshot(state: &str) -> Value {
    json!({"task": task(state)})
}

fn status(state: &str) -> Value {
    json!({"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": {"state": format!("TASK_STATE_{state}")}}})
}

fn sending() -> StreamStart {
    StreamStart::Send(to_raw_value(&json!({"message": {"messageId": "m1"}})).unwrap())
}

fn watching() -> StreamStart {
    StreamStart::Subscribe(TaskRef::parse("t1"))
}

const FAST_RECONNECT: ReconnectPolicy = ReconnectPolicy {
    backoff: Backoff {
        initial: Duration::from_millis(1),
        factor: 1.0,
        max: Duration::from_millis(1),
        jitter: false,
    },
    max_attempts: 3,
};

/// Follows a stream to its end: the states that it carried, and how often the connection was lost.
async fn follow(
    server: &ScriptedServer,
    start: StreamStart,
) -> Result<(Vec<TaskState>, usize), ClientError> {
    let mut stream = TaskStream::new(server.client(), start).reconnect_policy(FAST_RECONNECT);
    let (mut states, mut lost) = (Vec::new(), 0);
    while let Some(update) = stream.next().await? {
        match update {
            StreamUpdate::Disconnected(_) => lost += 1,
            StreamUpdate::Event(event) => match event.value {
                ReceivedEvent::Task(task) => states.push(task.status.state),
                ReceivedEvent::Status(update) => states.push(update.status.state),
                ReceivedEvent::Artifact(_) | ReceivedEvent::Message(_) => {}
            },
        }
    }
    Ok((states, lost))
}

#[tokio::test]
async fn a_broken_stream_resumes_behind_the_last_event() {
    let server = ScriptedServer::start(vec![
        broken_stream(&[(1, snapshot("SUBMITTED")), (2, status("WORKING"))]),
        event_stream(&[(3, status("COMPLETED"))]),
    ])
    .await;
    let (states, lost) = follow(&server, sending()).await.unwrap();
    assert_eq!(states, [TaskState::Submitted, TaskState::Working, TaskState::Completed]);
    assert_eq!(lost, 1);
    assert_eq!(server.methods(), ["SendStreamingMessage", "SubscribeToTask"]);
    assert_eq!(server.request(1).cursor.as_deref(), Some("2"));
    assert_eq!(server.request(1).body["params"]["id"], "t1");
}

#[tokio::test]
async fn a_draining_server_is_left_for_the_next_one_silently() {
    let server = ScriptedServer::start(vec![
        event_stream(&[(1, snapshot("WORKING"))]),
        rpc_error(-32053),
        event_stream(&[(2, status("COMPLETED"))]),
    ])
    .await;
    let (states, _) = follow(&server, watching()).await.unwrap();
    assert_eq!(states, [TaskState::Working, TaskState::Completed]);
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_repeated_with_its_message_id() {
    let server = ScriptedServer::start(vec![
        broken_stream(&[]),
        event_stream(&[(1, snapshot("COMPLETED"))]),
    ])
    .await;
    let (states, _) = follow(&server, sending()).await.unwrap();
    assert_eq!(states, [TaskState::Completed]);
    assert_eq!(server.methods(), ["SendStreamingMessage", "SendStreamingMessage"]);
    assert_eq!(server.request(0).body["params"], server.request(1).body["params"]);
}

#[tokio::test]
async fn a_question_ends_a_send_but_not_a_watch() {
    let question = || event_stream(&[(1, snapshot("WORKING")), (2, status("INPUT_REQUIRED"))]);
    let server = ScriptedServer::start(vec![question()]).await;
    let (states, _) = follow(&server, sending()).await.unwrap();
    assert_eq!(states.last(), Some(&TaskState::InputRequired));

    let server =
        ScriptedServer::start(vec![question(), event_stream(&[(3, status("CANCELED"))])]).await;
    let (states, _) = follow(&server, watching()).await.unwrap();
    assert_eq!(states.last(), Some(&TaskState::Canceled));
}

#[tokio::test]
async fn an_ended_task_is_read_once() {
    let got = answer(&json!({"jsonrpc": "2.0", "id": 1, "result": task("FAILED")}));
    let server = ScriptedServer::start(vec![rpc_error(-32004), got]).await;
    let (states, _) = follow(&server, watching()).await.unwrap();
    assert_eq!(states, [TaskState::Failed]);
    assert_eq!(server.methods(), ["SubscribeToTask", "GetTask"]);
}

#[tokio::test]
async fn an_unreachable_server_fails_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = ScriptedServer { url, requests: Arc::default() };
    let error = follow(&server, sending()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { sent: false, .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_not_retried() {
    let server = ScriptedServer::start(vec![rpc_error(-32602)]).await;
    let error = follow(&server, sending()).await.unwrap_err();
    assert!(matches!(error, ClientError::Rpc(_)), "{error}");
}

#[tokio::test]
async fn reconnecting_is_limited() {
    let mut answers = vec![event_stream(&[(1, snapshot("WORKING"))])];
    answers.extend((0..8).map(|_| rpc_error(-32053)));
    let server = ScriptedServer::start(answers).await;
    assert!(follow(&server, watching()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn debug_output_hides_the_api_key() {
    let builder = A2aClient::builder("http://127.0.0.1:1").agent("echo").api_key("lh_a_hunter2");
    let client = builder.clone().build().unwrap();
    assert_eq!(client.url(), "http://127.0.0.1:1/agents/echo");
    for debug in [format!("{builder:?}"), format!("{client:?}")] {
        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
