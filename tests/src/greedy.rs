//! An owner whose load is the worst that the limits allow, and its cost for other owners.
//!
//! Used by a test, which asserts what does not depend on time, and by `tests/neighbours/run`, which
//! prints figures.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http::Client;
use crate::tasks::{
    get, id, message, message_of, reply_to, return_immediately, state, task_of, with,
};
use crate::unique;

/// Interval between two polls of a task.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Longest time for a task to end on a loaded machine.
const END_LIMIT: Duration = Duration::from_secs(240);

/// Load of a greedy owner.
#[derive(Debug, Clone, Copy)]
pub struct GreedyLoad {
    /// Number of messages with large metadata to one task.
    pub large_follow_ups: usize,
    /// Metadata bytes of each.
    pub metadata_bytes: usize,
    /// Number of small messages to one task.
    pub follow_ups: usize,
    /// Text bytes of each: the largest size that stays in the log.
    pub follow_up_bytes: usize,
    /// Parts of a message that is rejected.
    pub refused_parts: usize,
    /// Rejected messages sent at the same time.
    pub refused_at_once: usize,
    /// Parts of a message that is accepted.
    pub parts: usize,
}

impl GreedyLoad {
    /// The worst that the limits allow, once.
    pub const WORST_CASE: Self = Self {
        large_follow_ups: 28,
        metadata_bytes: 9_000_000,
        follow_ups: 2_000,
        follow_up_bytes: 20_000,
        refused_parts: 800_000,
        refused_at_once: 16,
        parts: 50_000,
    };

    /// The same kinds of load, small enough for a test.
    pub const TEST_SIZED: Self = Self {
        large_follow_ups: 6,
        metadata_bytes: 2_000_000,
        follow_ups: 60,
        follow_up_bytes: 30_000,
        refused_parts: 200_000,
        refused_at_once: 4,
        parts: 10_000,
    };

    /// Sends everything and waits until the accepted tasks have ended. Each kind is sent from its
    /// own tokio task: a connection that idles while another one's body is built would be closed.
    pub async fn send(self, client: &Client) {
        let mut kinds = JoinSet::new();
        let own = || client.clone();
        let (one, two, three, four) = (own(), own(), own(), own());
        kinds.spawn(async move { self.large_metadata(&one).await });
        kinds.spawn(async move { self.long_history(&two).await });
        kinds.spawn(async move { self.many_parts(&three).await });
        kinds.spawn(async move { self.rejected_requests(&four).await });
        kinds.join_all().await;
    }

    /// Sends messages with large metadata to one task.
    async fn large_metadata(self, client: &Client) {
        let metadata = json!({"pad": "x".repeat(self.metadata_bytes)});
        let task = begin(client).await;
        for _ in 0..self.large_follow_ups {
            let params = with(reply_to(&task, "more"), "/message/metadata", metadata.clone());
            follow_up(client, params).await;
        }
        wait_until_completed(client, &task).await;
    }

    /// Fills a task's history with messages that stay in the log.
    async fn long_history(self, client: &Client) {
        let text = "y".repeat(self.follow_up_bytes);
        let task = begin(client).await;
        for _ in 0..self.follow_ups {
            follow_up(client, reply_to(&task, &text)).await;
        }
        wait_until_completed(client, &task).await;
    }

    /// Sends a message with as many parts as are allowed.
    async fn many_parts(self, client: &Client) {
        let parts = Value::from(vec![json!({"text": "z"}); self.parts]);
        let client = client.clone().rpc_path("/agents/echo");
        let answer = client.try_call("SendMessage", message_of(parts)).await;
        let task = task_of(answer.expect("as many parts as are allowed are accepted"));
        assert_eq!(state(&task), "COMPLETED");
    }

    /// Sends requests that are rejected: too many parts, or data nested too deeply.
    async fn rejected_requests(self, client: &Client) {
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

/// Starts a task that accepts messages for 1.5 seconds.
async fn begin(client: &Client) -> String {
    let sent =
        client.call("SendMessage", return_immediately(message("!wait 1500; complete done"))).await;
    id(&task_of(sent))
}

/// Sends a message to a task, or to a new one if the task has ended.
async fn follow_up(client: &Client, params: Value) {
    let params = with(return_immediately(params), "/configuration/historyLength", json!(0));
    if let Err(error) = client.try_call("SendMessage", params.clone()).await {
        assert_eq!(error.code, -32004, "{error:?}");
        let mut params = with(params, "/message/messageId", json!(unique::name("m")));
        if let Some(message) = params["message"].as_object_mut() {
            message.remove("taskId");
        }
        client.call("SendMessage", params).await;
    }
}

/// Waits until a task has completed.
async fn wait_until_completed(client: &Client, task: &str) {
    let asked = async {
        while state(&get(client, task).await) != "COMPLETED" {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(END_LIMIT, asked).await.unwrap_or_else(|_| panic!("task {task} does not end"));
}

/// Peak resident memory of a process, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
    kib << 10
}
