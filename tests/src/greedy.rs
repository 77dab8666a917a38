//! An owner who sends the worst that the limits allow, and what it costs others.
//!
//! Used by a test, which asserts what is no question of time, and by `tests/neighbours/run`, which prints figures.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http::Client;
use crate::talk::{at_once, get, id, message, message_of, reply_to, state, task_of, with};
use crate::unique;

/// Time between two looks at a task.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Longest time that a task may take on a loaded machine.
const END_LIMIT: Duration = Duration::from_secs(240);

/// How much a greedy owner sends.
#[derive(Debug, Clone, Copy)]
pub struct Greed {
    /// Messages to one task, each with large metadata.
    pub large_follow_ups: usize,
    /// Bytes of that metadata.
    pub metadata_bytes: usize,
    /// Small messages to one task.
    pub follow_ups: usize,
    /// Bytes of each of them: as large as stays in the log.
    pub follow_up_bytes: usize,
    /// Parts of a message that is refused.
    pub refused_parts: usize,
    /// Such messages at once.
    pub refused_at_once: usize,
    /// Parts of a message that is accepted.
    pub parts: usize,
}

impl Greed {
    /// The worst that the limits allow, once.
    pub const WORST: Self = Self {
        large_follow_ups: 28,
        metadata_bytes: 9_000_000,
        follow_ups: 2_000,
        follow_up_bytes: 20_000,
        refused_parts: 800_000,
        refused_at_once: 16,
        parts: 50_000,
    };

    /// The same kinds in a size for a test.
    pub const SHORT: Self = Self {
        large_follow_ups: 6,
        metadata_bytes: 2_000_000,
        follow_ups: 60,
        follow_up_bytes: 30_000,
        refused_parts: 200_000,
        refused_at_once: 4,
        parts: 10_000,
    };

    /// Sends everything, and waits for what was accepted to end. Each kind has a task of its own: a connection that waits while
    /// another one's body is being made would be closed for its silence.
    pub async fn send(self, client: &Client) {
        let mut kinds = JoinSet::new();
        let own = || client.clone();
        let (one, two, three, four) = (own(), own(), own(), own());
        kinds.spawn(async move { self.large_metadata(&one).await });
        kinds.spawn(async move { self.long_history(&two).await });
        kinds.spawn(async move { self.many_parts(&three).await });
        kinds.spawn(async move { self.too_much(&four).await });
        kinds.join_all().await;
    }

    /// A task with large metadata in each of its messages.
    async fn large_metadata(self, client: &Client) {
        let metadata = json!({"pad": "x".repeat(self.metadata_bytes)});
        let task = begin(client).await;
        for _ in 0..self.large_follow_ups {
            let params = with(reply_to(&task, "more"), "/message/metadata", metadata.clone());
            follow_up(client, params).await;
        }
        ended(client, &task).await;
    }

    /// A task with a history of many messages that stay in the log.
    async fn long_history(self, client: &Client) {
        let text = "y".repeat(self.follow_up_bytes);
        let task = begin(client).await;
        for _ in 0..self.follow_ups {
            follow_up(client, reply_to(&task, &text)).await;
        }
        ended(client, &task).await;
    }

    /// A message of as many parts as are allowed.
    async fn many_parts(self, client: &Client) {
        let parts = Value::from(vec![json!({"text": "z"}); self.parts]);
        let client = client.clone().rpc_path("/agents/echo");
        let answer = client.try_call("SendMessage", message_of(parts)).await;
        let task = task_of(answer.expect("as many parts as are allowed are accepted"));
        assert_eq!(state(&task), "COMPLETED");
    }

    /// What is refused: too many parts, data that is too deep.
    async fn too_much(self, client: &Client) {
        let parts = Value::from(vec![json!({"text": ""}); self.refused_parts]);
        let many = message_of(parts).to_string();
        let deep = (0..31).fold(json!(1), |inner, _| json!({"a": inner}));
        let deep = message_of(json!([{"data": deep}])).to_string();
        let body = |params: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{params}}}"#)
        };
        let (many, deep) = (body(&many), body(&deep));
        let mut refused = JoinSet::new();
        for n in 0..self.refused_at_once {
            let body = if n % 4 == 3 { deep.clone() } else { many.clone() };
            let client = client.clone();
            refused.spawn(async move {
                let answer = client.post("/", body).await.json();
                assert_eq!(answer["error"]["code"], -32602, "{answer}");
            });
        }
        refused.join_all().await;
    }
}

/// A task that takes messages for a while.
async fn begin(client: &Client) -> String {
    let sent = client.call("SendMessage", at_once(message("!wait 1500; complete done"))).await;
    id(&task_of(sent))
}

/// A message to a task, or to a new one where that has ended meanwhile.
async fn follow_up(client: &Client, params: Value) {
    let params = with(at_once(params), "/configuration/historyLength", json!(0));
    if let Err(error) = client.try_call("SendMessage", params.clone()).await {
        assert_eq!(error.code, -32004, "{error:?}");
        let mut params = with(params, "/message/messageId", json!(unique::name("m")));
        if let Some(message) = params["message"].as_object_mut() {
            message.remove("taskId");
        }
        client.call("SendMessage", params).await;
    }
}

/// Waits for the end of a task.
async fn ended(client: &Client, task: &str) {
    let asked = async {
        while state(&get(client, task).await) != "COMPLETED" {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(END_LIMIT, asked).await.unwrap_or_else(|_| panic!("task {task} does not end"));
}

/// Resident memory of a process at its highest, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
    kib << 10
}
