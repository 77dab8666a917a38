//! Folds the events of a stream into a task, by the rules of A2A alone.

use serde_json::{Value, json};

/// A task folded from events.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedTask {
    /// The status.
    pub status: Value,
    /// The artifacts.
    pub artifacts: Vec<Value>,
    /// Messages of the agent, without that of the current status.
    pub agent_messages: Vec<Value>,
}

impl FoldedTask {
    /// A task before its first event.
    pub fn new() -> Self {
        let status = json!({"state": "TASK_STATE_SUBMITTED"});
        Self { status, artifacts: Vec::new(), agent_messages: Vec::new() }
    }

    /// A task from a snapshot.
    pub fn from_snapshot(snapshot: &Value) -> Self {
        let list = |name: &str| snapshot[name].as_array().cloned().unwrap_or_default();
        let agent_messages =
            list("history").into_iter().filter(|message| message["role"] == "ROLE_AGENT");
        Self {
            status: snapshot["status"].clone(),
            artifacts: list("artifacts"),
            agent_messages: agent_messages.collect(),
        }
    }

    /// Applies an event. Fails with a description when the event changes no task.
    pub fn apply(&mut self, event: &Value) -> Result<(), String> {
        if event["statusUpdate"]["status"].is_object() {
            let new = event["statusUpdate"]["status"].clone();
            let old = std::mem::replace(&mut self.status, new);
            if old["message"].is_object() {
                self.agent_messages.push(old["message"].clone());
            }
            return Ok(());
        }
        let update = &event["artifactUpdate"];
        if !update["artifact"].is_object() {
            return Err(format!("an event that changes no task: {event}"));
        }
        self.artifact(&update["artifact"], update["append"] == true)
    }

    fn artifact(&mut self, chunk: &Value, append: bool) -> Result<(), String> {
        let same = |artifact: &&mut Value| artifact["artifactId"] == chunk["artifactId"];
        match (self.artifacts.iter_mut().find(same), append) {
            (None, false) => self.artifacts.push(chunk.clone()),
            (Some(artifact), false) => *artifact = chunk.clone(),
            (Some(artifact), true) => {
                let parts = chunk["parts"].as_array().cloned().unwrap_or_default();
                if let Some(existing) = artifact["parts"].as_array_mut() {
                    existing.extend(parts);
                }
            }
            (None, true) => {
                return Err(format!("a chunk of an artifact that was never begun: {chunk}"));
            }
        }
        Ok(())
    }

    /// A short description of the difference to another task.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let short = |value: &dyn std::fmt::Debug| {
            format!("{value:?}").chars().take(600).collect::<String>()
        };
        if self.status != other.status {
            return Some(format!("status {} against {}", self.status, other.status));
        }
        if let Some(difference) = self.artifact_difference(other) {
            return Some(difference);
        }
        (self.agent_messages != other.agent_messages).then(|| {
            format!(
                "the agent said {} things against {}: {} against {}",
                self.agent_messages.len(),
                other.agent_messages.len(),
                short(&self.agent_messages),
                short(&other.agent_messages)
            )
        })
    }

    /// A short description of the difference in the artifacts.
    pub fn artifact_difference(&self, other: &Self) -> Option<String> {
        if self.artifacts == other.artifacts {
            return None;
        }
        let shape = |task: &Self| -> String {
            let one = |artifact: &Value| {
                let parts = artifact["parts"].as_array().map_or(0, Vec::len);
                format!("{}:{parts} ", artifact["artifactId"].as_str().unwrap_or("?"))
            };
            task.artifacts.iter().map(one).collect()
        };
        let odd = self.artifacts.iter().zip(&other.artifacts).find(|(one, two)| one != two);
        let cut = |value: &Value| value.to_string().chars().take(300).collect::<String>();
        let odd = odd.map(|(one, two)| format!("{} against {}", cut(one), cut(two)));
        let (one, two) = (shape(self), shape(other));
        Some(format!("artifacts [{one}] against [{two}]; {}", odd.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::FoldedTask;
    use serde_json::{Value, json};

    fn chunk(id: &str, text: &str, append: bool) -> Value {
        json!({"artifactUpdate": {"artifact": {"artifactId": id, "parts": [{"text": text}]}, "append": append}})
    }

    #[test]
    fn chunks_are_appended_and_a_new_first_chunk_replaces() {
        let mut task = FoldedTask::new();
        for event in [chunk("a", "1", false), chunk("a", "2", true), chunk("b", "x", false)] {
            task.apply(&event).expect("it fits");
        }
        assert_eq!(task.artifacts[0]["parts"], json!([{"text": "1"}, {"text": "2"}]));
        task.apply(&chunk("a", "3", false)).expect("it fits");
        assert_eq!(task.artifacts[0]["parts"], json!([{"text": "3"}]));
        assert_eq!(task.artifacts[1]["parts"], json!([{"text": "x"}]));
        task.apply(&chunk("c", "4", true)).expect_err("c was never begun");
        task.apply(&json!({"task": {}})).expect_err("that is no change");
    }

    #[test]
    fn the_message_of_a_status_moves_to_the_history_with_the_next_status() {
        let status = |text: &str| {
            let message = json!({"role": "ROLE_AGENT", "parts": [{"text": text}]});
            json!({"statusUpdate": {"status": {"state": "TASK_STATE_WORKING", "message": message}}})
        };
        let mut task = FoldedTask::new();
        for text in ["one", "two"] {
            task.apply(&status(text)).expect("it fits");
        }
        assert_eq!(task.agent_messages.len(), 1);
        assert_eq!(task.status["message"]["parts"][0]["text"], "two");
        let user = json!({"role": "ROLE_USER"});
        let snapshot = json!({"status": task.status, "history": [user, task.agent_messages[0]]});
        assert_eq!(FoldedTask::from_snapshot(&snapshot).difference(&task), None);
    }
}
