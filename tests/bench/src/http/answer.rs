//! Checks of answers, without building a JSON document.

use super::{connection::HttpAnswer, message::EchoMessage};
use serde::Deserialize;

/// A task's UUID as a number.
pub type TaskIdBits = u128;

#[derive(Deserialize)]
struct EchoResponse<'a> {
    #[serde(borrow)]
    result: EchoResult<'a>,
}

#[derive(Deserialize)]
struct EchoResult<'a> {
    #[serde(borrow)]
    task: EchoTask<'a>,
}

#[derive(Deserialize)]
struct EchoTask<'a> {
    id: &'a str,
    #[serde(borrow)]
    status: EchoStatus<'a>,
    #[serde(borrow, default)]
    artifacts: Vec<EchoArtifact<'a>>,
}

#[derive(Deserialize)]
struct EchoStatus<'a> {
    state: &'a str,
}

#[derive(Deserialize)]
struct EchoArtifact<'a> {
    #[serde(borrow)]
    parts: Vec<EchoPart<'a>>,
}

#[derive(Deserialize)]
struct EchoPart<'a> {
    text: Option<&'a str>,
}

/// Checks that an answer is the completed echo of a message; returns the task's id.
pub fn check_echo(answer: &HttpAnswer, number: u64) -> Result<TaskIdBits, String> {
    check(&answer.body, number)
        .map_err(|wrong| format!("{wrong}: {} {}", answer.status, answer.text()))
}

fn check(body: &[u8], number: u64) -> Result<TaskIdBits, String> {
    let reply: EchoResponse<'_> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let task = reply.result.task;
    if task.status.state != "TASK_STATE_COMPLETED" {
        return Err("not the completed task".to_owned());
    }
    let mut parts = task.artifacts.iter().flat_map(|artifact| &artifact.parts);
    if !parts
        .next()
        .and_then(|part| part.text)
        .is_some_and(|text| EchoMessage::is_text(text, number))
    {
        return Err("not what was sent".to_owned());
    }
    id(task.id).ok_or_else(|| "the task's id is no UUID".to_owned())
}

/// Parses a UUID.
fn id(text: &str) -> Option<TaskIdBits> {
    let mut number = 0;
    let mut digits = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        number = number << 4 | TaskIdBits::from(char::from(byte).to_digit(16)?);
        digits += 1;
    }
    (digits == 32).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::check;

    const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    fn body(state: &str, text: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"task":{{"id":"{ID}","contextId":"c","status":{{"state":"{state}","timestamp":"t"}},
            "artifacts":[{{"artifactId":"a","parts":[{{"text":"{text}","metadata":{{}}}}]}}],"history":[]}}}}}}"#
        )
    }

    #[test]
    fn a_completed_echo_is_right() {
        let body = body("TASK_STATE_COMPLETED", "Task 0000000042");
        assert_eq!(check(body.as_bytes(), 42), Ok(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    }

    #[test]
    fn another_state_another_echo_and_an_error_are_wrong() {
        let working = body("TASK_STATE_WORKING", "Task 0000000042");
        assert!(check(working.as_bytes(), 42).is_err());
        let other = body("TASK_STATE_COMPLETED", "Task 0000000041");
        assert!(check(other.as_bytes(), 42).is_err());
        assert!(check(br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603}}"#, 42).is_err());
    }
}
