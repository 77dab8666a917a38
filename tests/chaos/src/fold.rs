//! What a reader makes of a stream: the task as it is behind the events, from the rules of A2A alone.

use serde_json::{Value, json};

/// A task as far as a stream tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Its status.
    pub status: Value,
    /// Its artifacts.
    pub artifacts: Vec<Value>,
    /// What the agent has said, the status's message left out.
    pub said: Vec<Value>,
}

impl Folded {
    /// A task of which nothing was heard yet.
    pub fn new() -> Self {
        let status = json!({"state": "TASK_STATE_SUBMITTED"});
        Self { status, artifacts: Vec::new(), said: Vec::new() }
    }

    /// A task as a snapshot shows it.
    pub fn of(snapshot: &Value) -> Self {
        let list = |name: &str| snapshot[name].as_array().cloned().unwrap_or_default();
        let said = list("history").into_iter().filter(|message| message["role"] == "ROLE_AGENT");
        Self {
            status: snapshot["status"].clone(),
            artifacts: list("artifacts"),
            said: said.collect(),
        }
    }

    /// The task behind one more event; says what is wrong with the event when it changes nothing.
    pub fn apply(&mut self, event: &Value) -> Result<(), String> {
        if event["statusUpdate"]["status"].is_object() {
            let new = event["statusUpdate"]["status"].clone();
            let old = std::mem::replace(&mut self.status, new);
            if old["message"].is_object() {
                self.said.push(old["message"].clone());
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
                if let Some(there) = artifact["parts"].as_array_mut() {
                    there.extend(parts);
                }
            }
            (None, true) => {
                return Err(format!("a chunk of an artifact that was never begun: {chunk}"));
            }
        }
        Ok(())
    }

    /// What differs, in a few words.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let short = |value: &dyn std::fmt::Debug| {
            format!("{value:?}").chars().take(600).collect::<String>()
        };
        if self.status != other.status {
            return Some(format!("status {} against {}", self.status, other.status));
        }
        if let Some(difference) = self.artifacts_differ(other) {
            return Some(difference);
        }
        (self.said != other.said).then(|| {
            format!(
                "the agent said {} things against {}: {} against {}",
                self.said.len(),
                other.said.len(),
                short(&self.said),
                short(&other.said)
            )
        })
    }

    /// What differs in the artifacts.
    pub fn artifacts_differ(&self, other: &Self) -> Option<String> {
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
    use super::Folded;
    use serde_json::{Value, json};

    fn chunk(id: &str, text: &str, append: bool) -> Value {
        json!({"artifactUpdate": {"artifact": {"artifactId": id, "parts": [{"text": text}]}, "append": append}})
    }

    #[test]
    fn chunks_are_appended_and_a_new_beginning_replaces() {
        let mut task = Folded::new();
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
    fn what_a_status_said_becomes_history_with_the_next() {
        let status = |text: &str| {
            let message = json!({"role": "ROLE_AGENT", "parts": [{"text": text}]});
            json!({"statusUpdate": {"status": {"state": "TASK_STATE_WORKING", "message": message}}})
        };
        let mut task = Folded::new();
        for text in ["one", "two"] {
            task.apply(&status(text)).expect("it fits");
        }
        assert_eq!(task.said.len(), 1);
        assert_eq!(task.status["message"]["parts"][0]["text"], "two");
        let user = json!({"role": "ROLE_USER"});
        let snapshot = json!({"status": task.status, "history": [user, task.said[0]]});
        assert_eq!(Folded::of(&snapshot).differs(&task), None);
    }
}
