//! `longhaul tasks send` and `longhaul tasks watch`.

use super::{
    attempt_notes::AttemptNotes,
    message::{answer_request, send_request},
    output::TaskOutput,
    prompt, short_id, suggestion,
};
use crate::{
    args::{SendTaskArgs, ServerArgs, WatchTaskArgs},
    client::{a2a_client, explain},
    exit::{CommandError, CommandResult, Completion},
};
use longhaul_client::{A2aClient, StreamUpdate, TaskStream};
use longhaul_domain::TaskState;
use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_wire::{ReceivedEvent, ReceivedSend, SendRequest, TaskRef};
use std::{io, pin::pin};

/// The end of a followed stream.
enum FollowEnd {
    /// The stream ended: the task, and its state if an event told it.
    StreamEnded(Option<TaskRef>, Option<TaskState>),
    /// The user interrupted it.
    Interrupted(Option<TaskRef>),
}

/// `longhaul tasks send`.
pub async fn send(args: SendTaskArgs) -> CommandResult {
    let client = a2a_client(&args.server)?;
    let mut request = send_request(&args, &SystemIds, &SystemClock, &mut io::stdin())?;
    if let Some(task) = &args.task {
        request.target = Some(short_id::resolve(task, &client).await?);
    }
    let mut notes = AttemptNotes::new(client.clone());
    let mut output = TaskOutput::new(args.json, args.output.as_deref())?;
    if args.no_wait || args.no_stream {
        // Without a stream there is nothing to follow, and no notes to show beside it.
        return send_once(&client, &request, &args, &mut output).await;
    }
    loop {
        let message = request.message.message_id.to_string();
        let mut stream = client.send_streaming(&request)?;
        match follow(&mut stream, &mut output, &mut notes, None).await? {
            FollowEnd::Interrupted(Some(task)) => {
                return interrupted(&task, &args.server, &mut output);
            }
            // The server has named no task yet, so only the message id can find it.
            FollowEnd::Interrupted(None) => return unknown_outcome(&message, &mut output),
            FollowEnd::StreamEnded(Some(task), Some(TaskState::InputRequired)) => {
                match ask_for_answer(&mut output).await? {
                    PromptResult::Answer(text) => {
                        // The next round sends the answer, and follows the same task again.
                        request = answer_request(text, &task, &SystemIds)?;
                    }
                    PromptResult::NoAnswer => {
                        let state = Some(TaskState::InputRequired);
                        return finished(Some(&task), state, &args.server, &mut output);
                    }
                    PromptResult::Interrupted => {
                        return interrupted(&task, &args.server, &mut output);
                    }
                }
            }
            FollowEnd::StreamEnded(task, state) => {
                return finished(task.as_ref(), state, &args.server, &mut output);
            }
        }
    }
}

/// `longhaul tasks watch`.
pub async fn watch(args: WatchTaskArgs) -> CommandResult {
    let client = a2a_client(&args.server)?;
    let mut output = TaskOutput::new(args.json, args.output.as_deref())?;
    let mut stream = client.watch(short_id::resolve(&args.id, &client).await?);
    let mut notes = AttemptNotes::new(client);
    match follow(&mut stream, &mut output, &mut notes, Some(&args.server)).await? {
        FollowEnd::Interrupted(_) => interrupted(&args.id, &args.server, &mut output),
        FollowEnd::StreamEnded(task, state) => {
            finished(task.as_ref(), state, &args.server, &mut output)
        }
    }
}

/// Shows a stream to its end, and failed attempts while it is silent. A watcher of `watched` is
/// told how to answer a question.
async fn follow(
    stream: &mut TaskStream,
    output: &mut TaskOutput,
    notes: &mut AttemptNotes,
    watched: Option<&ServerArgs>,
) -> Result<FollowEnd, CommandError> {
    let mut state = None;
    loop {
        let task = stream.task().cloned();
        let Some(update) = next_update(stream, output, notes, task.as_ref()).await? else {
            output.finish()?;
            return Ok(FollowEnd::Interrupted(stream.task().cloned()));
        };
        match update {
            Some(StreamUpdate::Event(event)) => {
                notes.reset_pause();
                output.event(&event.raw, &event.value)?;
                // A snapshot repeats the state; only a change to input-required asks.
                let before = std::mem::replace(&mut state, stream.state());
                let asks = state == Some(TaskState::InputRequired) && before != state;
                if let (true, Some(server), Some(task)) = (asks, watched, stream.task()) {
                    output.remark(&format!("Answer it: {}", suggestion::answer(task, server)))?;
                }
            }
            Some(StreamUpdate::Disconnected(error)) => {
                output.remark(&format!("{}; connecting again", explain(&error)))?;
            }
            None => {
                // The last attempt of a failed task is shown even if the stream was never silent.
                let failed = stream.state() == Some(TaskState::Failed);
                if let (Some(task), true) = (stream.task(), failed || notes.was_read()) {
                    notes.show_new(task, output).await?;
                }
                output.finish()?;
                return Ok(FollowEnd::StreamEnded(stream.task().cloned(), stream.state()));
            }
        }
    }
}

/// Returns the next update of the stream; the outer `None` is an interrupt. Failed attempts are
/// shown while the stream is silent.
async fn next_update(
    stream: &mut TaskStream,
    output: &mut TaskOutput,
    notes: &mut AttemptNotes,
    task: Option<&TaskRef>,
) -> Result<Option<Option<StreamUpdate>>, CommandError> {
    // Pinned outside of the loop: a call that is dropped in the middle forgets its back-off and
    // may send again.
    let mut next = pin!(stream.next());
    loop {
        tokio::select! {
            // The stream first: a busy one must not be held up by reads of the log.
            biased;
            update = &mut next => return Ok(Some(update?)),
            () = notes.wait() => {
                if let Some(task) = task {
                    notes.show_new(task, output).await?;
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(None),
        }
    }
}

/// Sends without a stream, and shows the answer.
async fn send_once(
    client: &A2aClient,
    request: &SendRequest,
    args: &SendTaskArgs,
    output: &mut TaskOutput,
) -> CommandResult {
    let sent = tokio::select! {
        sent = client.send(request) => sent?,
        _ = tokio::signal::ctrl_c() => {
            return unknown_outcome(request.message.message_id.as_str(), output);
        }
    };
    let (event, task) = match sent.value {
        ReceivedSend::Task(task) => {
            let (id, state) = (task.id.clone(), task.status.state);
            (ReceivedEvent::Task(task), Some((id, state)))
        }
        ReceivedSend::Message(message) => (ReceivedEvent::Message(message), None),
    };
    output.event(&sent.raw, &event)?;
    output.finish()?;
    match task {
        None => Ok(Completion::Ok),
        // Only `--no-wait`, or a server that does not wait, answers with such a task.
        Some((task, state)) if !state.is_terminal() && !state.is_parked() => {
            let watch = suggestion::command("watch", &task, &args.server);
            output.remark(&format!("It goes on. Watch it: {watch}"))?;
            Ok(Completion::Ok)
        }
        Some((task, state)) => finished(Some(&task), Some(state), &args.server, output),
    }
}

/// Ends the command with the task's state, and suggests what to do next.
fn finished(
    task: Option<&TaskRef>,
    state: Option<TaskState>,
    server: &ServerArgs,
    output: &mut TaskOutput,
) -> CommandResult {
    match (task, state) {
        (Some(task), Some(TaskState::InputRequired)) => {
            output.remark(&format!("Answer it: {}", suggestion::answer(task, server)))?;
        }
        (Some(task), Some(TaskState::AuthRequired)) => {
            let watch = suggestion::command("watch", task, server);
            output.remark(&format!("It waits for an authorization. Watch it: {watch}"))?;
        }
        _ => {}
    }
    Ok(state.map_or(Completion::Ok, Completion::Task))
}

/// The result of a question to the person at the terminal.
enum PromptResult {
    Answer(String),
    /// An empty line, or no terminal to ask at.
    NoAnswer,
    /// Ctrl-C.
    Interrupted,
}

async fn ask_for_answer(output: &mut TaskOutput) -> Result<PromptResult, CommandError> {
    if !output.is_screen() || !prompt::is_possible() {
        return Ok(PromptResult::NoAnswer);
    }
    tokio::select! {
        line = prompt::answer() => Ok(line?.map_or(PromptResult::NoAnswer, PromptResult::Answer)),
        _ = tokio::signal::ctrl_c() => {
            // Ends the line of the prompt.
            output.remark("")?;
            Ok(PromptResult::Interrupted)
        }
    }
}

/// Ends a send that was interrupted before the server named a task.
fn unknown_outcome(message: &str, output: &mut TaskOutput) -> CommandResult {
    output.remark(&format!(
        "Interrupted. Whether the task was accepted is not known; the same command with --message-id {} finds it.",
        suggestion::shell_quoted(message)
    ))?;
    Ok(Completion::Interrupted)
}

fn interrupted(
    task: &dyn std::fmt::Display,
    server: &ServerArgs,
    output: &mut TaskOutput,
) -> CommandResult {
    output.remark(&format!(
        "The task goes on. Watch it:  {}\n                  Cancel it: {}",
        suggestion::command("watch", task, server),
        suggestion::command("cancel", task, server),
    ))?;
    Ok(Completion::Interrupted)
}
