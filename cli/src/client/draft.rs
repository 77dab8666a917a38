//! The message that `longhaul tasks send` sends, from its flags.

use super::{attachment, durability};
use crate::{args::SendTask, exit::Failure};
use longhaul_domain::{
    ContextId, IdError, Json, JsonObject, Message, MessageId, Part, Role, extension,
};
use longhaul_runtime::{Clock, IdSource};
use longhaul_wire::{SendRequest, TaskRef};
use std::io::Read;

/// Makes the request from the flags; reads `-` from `input`.
pub fn draft(
    args: &SendTask,
    ids: &dyn IdSource,
    clock: &dyn Clock,
    input: &mut dyn Read,
) -> Result<SendRequest, Failure> {
    let mut parts = Vec::new();
    if let Some(text) = &args.text {
        parts.push(Part::text(read_text(text, input)?));
    }
    for file in &args.file {
        parts.push(attachment::part(file)?);
    }
    if let Some(data) = &args.data {
        let data = Json::parse(data).map_err(|error| Failure::usage(format!("--data: {error}")))?;
        parts.push(Part::data(data));
    }
    let id = args.message_id.clone().unwrap_or_else(|| ids.uuid_v7().to_string());
    let id = MessageId::new(id).map_err(|error| bad_id("--message-id", &error))?;
    let mut message = Message::new(id, Role::User, parts);
    message.context_id = context(args.context.as_deref())?;
    let metadata = args.metadata.as_deref().map(JsonObject::parse).transpose();
    message.metadata = metadata.map_err(|error| Failure::usage(format!("--metadata: {error}")))?;
    if let Some(metadata) =
        durability::metadata(&args.durability, message.metadata.as_ref(), clock)?
    {
        message.metadata = Some(metadata);
        message.extensions = vec![extension::DURABILITY_EXTENSION.to_owned()];
    }
    let mut request = SendRequest::new(message);
    request.target = args.task.clone().map(TaskRef::parse);
    request.return_immediately = args.no_wait;
    Ok(request)
}

/// A conversation that a flag names.
pub fn context(text: Option<&str>) -> Result<Option<ContextId>, Failure> {
    text.map(ContextId::new).transpose().map_err(|error| bad_id("--context", &error))
}

/// An answer to a task that asked for one.
pub fn answer(text: String, task: &TaskRef, ids: &dyn IdSource) -> Result<SendRequest, Failure> {
    let id = MessageId::new(ids.uuid_v7().to_string())
        .map_err(|error| bad_id("the id of the message", &error))?;
    let message = Message::new(id, Role::User, vec![Part::text(text)]);
    Ok(SendRequest { target: Some(task.clone()), ..SendRequest::new(message) })
}

fn bad_id(what: &str, error: &IdError) -> Failure {
    Failure::usage(format!("{what}: {error}"))
}

fn read_text(text: &str, input: &mut dyn Read) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut read = String::new();
    input
        .read_to_string(&mut read)
        .map_err(|error| Failure::failed(format!("standard input cannot be read: {error}")))?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::{ManualClock, SeededIds};
    use longhaul_wire::v1::V1;
    use serde_json::{Value, json};

    fn drafted(args: &SendTask, input: &str) -> Result<Value, Failure> {
        let request =
            draft(args, &SeededIds::new(1), &ManualClock::default(), &mut input.as_bytes())?;
        Ok(serde_json::from_str(&serde_json::to_string(&V1(&request)).unwrap()).unwrap())
    }

    #[test]
    fn the_flags_become_an_a2a_message() {
        let args = SendTask {
            text: Some("-".into()),
            data: Some("{\"a\":1}".into()),
            file: vec!["https://host/a.pdf".into()],
            context: Some("c".into()),
            metadata: Some("{\"k\":true}".into()),
            message_id: Some("m".into()),
            no_wait: true,
            ..SendTask::default()
        };
        assert_eq!(
            drafted(&args, "from a pipe").unwrap(),
            json!({
                "message": {
                    "messageId": "m", "contextId": "c", "role": "ROLE_USER", "metadata": {"k": true},
                    "parts": [
                        {"text": "from a pipe"},
                        {"url": "https://host/a.pdf", "filename": "a.pdf", "mediaType": "application/pdf"},
                        {"data": {"a": 1}},
                    ],
                },
                "configuration": {"returnImmediately": true},
            })
        );
    }

    #[test]
    fn a_task_of_any_server_can_be_answered() {
        let args =
            SendTask { text: Some("a".into()), task: Some("task-7".into()), ..SendTask::default() };
        assert_eq!(drafted(&args, "").unwrap()["message"]["taskId"], "task-7");
    }

    #[test]
    fn bad_json_is_refused_by_the_name_of_its_flag() {
        let data = SendTask { data: Some("{".into()), ..SendTask::default() };
        assert!(drafted(&data, "").unwrap_err().to_string().starts_with("--data"));
        let metadata = SendTask {
            text: Some("a".into()),
            metadata: Some("[1]".into()),
            ..SendTask::default()
        };
        assert!(drafted(&metadata, "").unwrap_err().to_string().starts_with("--metadata"));
    }
}
