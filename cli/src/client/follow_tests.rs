use super::{Begin, ClientError, Endpoint, Follow, Patience, Step};
use crate::args::Server;
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

/// A server that answers one connection after the other as it is told, and remembers what it was asked.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    cursor: Option<String>,
    body: Value,
}

impl Fake {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        spawn("fake", async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&Server { url: self.url.clone(), ..Server::default() }).unwrap()
    }

    fn methods(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|asked| asked.body["method"].as_str().unwrap().to_owned()).collect()
    }

    fn asked(&self, at: usize) -> Asked {
        self.asked.lock().unwrap()[at].clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Asked {
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
    Asked { cursor, body: serde_json::from_slice(&body).unwrap() }
}

/// A stream that ends in the middle: no chunked encoding, no length, so the end of the connection is its end.
fn stream(events: &[(u32, Value)]) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            .to_owned();
    for (id, event) in events {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": event});
        text.extend(["id: ", &id.to_string(), "\ndata: ", &answer.to_string(), "\n\n"]);
    }
    text
}

/// A stream that promises more than it sends, as one whose server was killed.
fn broken(events: &[(u32, Value)]) -> String {
    stream(events).replacen("Connection: close", "Content-Length: 100000", 1)
}

fn answer(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn refusal(code: i64) -> String {
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

fn sending() -> Begin {
    Begin::Send(to_raw_value(&json!({"message": {"messageId": "m1"}})).unwrap())
}

fn watching() -> Begin {
    Begin::Watch(TaskRef::parse("t1"))
}

const QUICK: Patience = Patience {
    backoff: Backoff {
        initial: Duration::from_millis(1),
        factor: 1.0,
        max: Duration::from_millis(1),
        jitter: false,
    },
    attempts: 3,
};

/// The states that came, and how often the connection was lost.
async fn followed(fake: &Fake, begin: Begin) -> Result<(Vec<TaskState>, usize), ClientError> {
    let endpoint = fake.endpoint();
    let mut follow = Follow::new(&endpoint, begin, QUICK);
    let (mut states, mut lost) = (Vec::new(), 0);
    while let Some(step) = follow.next().await? {
        match step {
            Step::Lost(_) => lost += 1,
            Step::Came(frame) => match frame.event {
                ReceivedEvent::Task(task) => states.push(task.status.state),
                ReceivedEvent::Status(update) => states.push(update.status.state),
                ReceivedEvent::Artifact(_) | ReceivedEvent::Message(_) => {}
            },
        }
    }
    Ok((states, lost))
}

#[tokio::test]
async fn a_broken_stream_goes_on_behind_the_last_event() {
    let fake = Fake::start(vec![
        broken(&[(1, snapshot("SUBMITTED")), (2, status("WORKING"))]),
        stream(&[(3, status("COMPLETED"))]),
    ])
    .await;
    let (states, lost) = followed(&fake, sending()).await.unwrap();
    assert_eq!(states, [TaskState::Submitted, TaskState::Working, TaskState::Completed]);
    assert_eq!(lost, 1);
    assert_eq!(fake.methods(), ["SendStreamingMessage", "SubscribeToTask"]);
    assert_eq!(fake.asked(1).cursor.as_deref(), Some("2"));
    assert_eq!(fake.asked(1).body["params"]["id"], "t1");
}

#[tokio::test]
async fn a_server_that_drains_is_left_for_the_next_one_without_a_word() {
    let fake = Fake::start(vec![
        stream(&[(1, snapshot("WORKING"))]),
        refusal(-32053),
        stream(&[(2, status("COMPLETED"))]),
    ])
    .await;
    let (states, _) = followed(&fake, watching()).await.unwrap();
    assert_eq!(states, [TaskState::Working, TaskState::Completed]);
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_repeated_under_its_id() {
    let fake = Fake::start(vec![broken(&[]), stream(&[(1, snapshot("COMPLETED"))])]).await;
    let (states, _) = followed(&fake, sending()).await.unwrap();
    assert_eq!(states, [TaskState::Completed]);
    assert_eq!(fake.methods(), ["SendStreamingMessage", "SendStreamingMessage"]);
    assert_eq!(fake.asked(0).body["params"], fake.asked(1).body["params"]);
}

#[tokio::test]
async fn a_question_ends_a_send_and_not_a_watch() {
    let question = || stream(&[(1, snapshot("WORKING")), (2, status("INPUT_REQUIRED"))]);
    let fake = Fake::start(vec![question()]).await;
    let (states, _) = followed(&fake, sending()).await.unwrap();
    assert_eq!(states.last(), Some(&TaskState::InputRequired));

    let fake = Fake::start(vec![question(), stream(&[(3, status("CANCELED"))])]).await;
    let (states, _) = followed(&fake, watching()).await.unwrap();
    assert_eq!(states.last(), Some(&TaskState::Canceled));
}

#[tokio::test]
async fn a_task_that_has_ended_is_shown_as_it_is() {
    let got = answer(&json!({"jsonrpc": "2.0", "id": 1, "result": task("FAILED")}));
    let fake = Fake::start(vec![refusal(-32004), got]).await;
    let (states, _) = followed(&fake, watching()).await.unwrap();
    assert_eq!(states, [TaskState::Failed]);
    assert_eq!(fake.methods(), ["SubscribeToTask", "GetTask"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fake = Fake { url, asked: Arc::default() };
    let error = followed(&fake, sending()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { sent: false, .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let fake = Fake::start(vec![refusal(-32602)]).await;
    let error = followed(&fake, sending()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
}

#[tokio::test]
async fn patience_ends() {
    let mut answers = vec![stream(&[(1, snapshot("WORKING"))])];
    answers.extend((0..8).map(|_| refusal(-32053)));
    let fake = Fake::start(answers).await;
    assert!(followed(&fake, watching()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn the_key_is_shown_and_not_printed() {
    let server = Server {
        url: "http://127.0.0.1:1".to_owned(),
        api_key: Some("lh_a_hunter2".to_owned()),
        agent: Some("echo".to_owned()),
    };
    let endpoint = Endpoint::new(&server).unwrap();
    assert_eq!(endpoint.url(), "http://127.0.0.1:1/agents/echo");
    assert!(!format!("{endpoint:?}").contains("hunter2"));
}
