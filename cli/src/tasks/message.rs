//! Requests of `longhaul tasks send`, from its flags.

use super::{attachment::read_part, durability::metadata_with_options};
use crate::{args::SendTaskArgs, exit::CommandError};
use longhaul_domain::{
    ContextId, IdError, Json, JsonObject, Message, MessageId, Part, Role, extension,
};
use longhaul_runtime::{Clock, IdSource};
use longhaul_wire::{SendRequest, TaskRef};
use std::io::Read;

/// Creates the request that the flags describe; a text of `-` is read from `input`.
pub fn send_request(
    args: &SendTaskArgs,
    ids: &dyn IdSource,
    clock: &dyn Clock,
    input: &mut dyn Read,
) -> Result<SendRequest, CommandError> {
    let mut parts = Vec::new();
    if let Some(text) = &args.text {
        parts.push(Part::text(read_text(text, input)?));
    }
    for file in &args.file {
        parts.push(read_part(file)?);
    }
    if let Some(data) = &args.data {
        let data =
            Json::parse(data).map_err(|error| CommandError::usage(format!("--data: {error}")))?;
        parts.push(Part::data(data));
    }
    // Chosen before the first attempt, so that a repeated send finds the same task.
    let id = args.message_id.clone().unwrap_or_else(|| ids.uuid_v7().to_string());
    let id = MessageId::new(id).map_err(|error| invalid_id("--message-id", &error))?;
    let mut message = Message::new(id, Role::User, parts);
    message.context_id = context_from_arg(args.context.as_deref())?;
    let metadata = args.metadata.as_deref().map(JsonObject::parse).transpose();
    message.metadata =
        metadata.map_err(|error| CommandError::usage(format!("--metadata: {error}")))?;
    if let Some(metadata) =
        metadata_with_options(&args.durability, message.metadata.as_ref(), clock)?
    {
        message.metadata = Some(metadata);
        // A2A wants a message to name the extensions that its metadata uses.
        message.extensions = vec![extension::DURABILITY_EXTENSION.to_owned()];
    }
    let mut request = SendRequest::new(message);
    request.target = args.task.clone().map(TaskRef::parse);
    request.return_immediately = args.no_wait;
    Ok(request)
}

/// Reads the context id of `--context`.
pub fn context_from_arg(text: Option<&str>) -> Result<Option<ContextId>, CommandError> {
    text.map(ContextId::new).transpose().map_err(|error| invalid_id("--context", &error))
}

/// Creates the request that answers a task's question.
pub fn answer_request(
    text: String,
    task: &TaskRef,
    ids: &dyn IdSource,
) -> Result<SendRequest, CommandError> {
    let id = MessageId::new(ids.uuid_v7().to_string())
        .map_err(|error| invalid_id("the id of the message", &error))?;
    let message = Message::new(id, Role::User, vec![Part::text(text)]);
    Ok(SendRequest { target: Some(task.clone()), ..SendRequest::new(message) })
}

fn invalid_id(what: &str, error: &IdError) -> CommandError {
    CommandError::usage(format!("{what}: {error}"))
}

fn read_text(text: &str, input: &mut dyn Read) -> Result<String, CommandError> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut content = String::new();
    input
        .read_to_string(&mut content)
        .map_err(|error| CommandError::failed(format!("standard input cannot be read: {error}")))?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::{ManualClock, SeededIds};
    use longhaul_wire::v1::V1;
    use serde_json::{Value, json};

    fn request_json(args: &SendTaskArgs, input: &str) -> Result<Value, CommandError> {
        let request =
            send_request(args, &SeededIds::new(1), &ManualClock::default(), &mut input.as_bytes())?;
        Ok(serde_json::from_str(&serde_json::to_string(&V1(&request)).unwrap()).unwrap())
    }

    #[test]
    fn flags_become_an_a2a_message() {
        let args = SendTaskArgs {
            text: Some("-".into()),
            data: Some("{\"a\":1}".into()),
            file: vec!["https://host/a.pdf".into()],
            context: Some("c".into()),
            metadata: Some("{\"k\":true}".into()),
            message_id: Some("m".into()),
            no_wait: true,
            ..SendTaskArgs::default()
        };
        assert_eq!(
            request_json(&args, "from a pipe").unwrap(),
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
        let args = SendTaskArgs {
            text: Some("a".into()),
            task: Some("task-7".into()),
            ..SendTaskArgs::default()
        };
        assert_eq!(request_json(&args, "").unwrap()["message"]["taskId"], "task-7");
    }

    #[test]
    fn invalid_json_is_reported_with_its_flag() {
        let data = SendTaskArgs { data: Some("{".into()), ..SendTaskArgs::default() };
        assert!(request_json(&data, "").unwrap_err().to_string().starts_with("--data"));
        let metadata = SendTaskArgs {
            text: Some("a".into()),
            metadata: Some("[1]".into()),
            ..SendTaskArgs::default()
        };
        assert!(request_json(&metadata, "").unwrap_err().to_string().starts_with("--metadata"));
    }
}
