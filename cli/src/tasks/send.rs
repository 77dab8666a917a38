//! `longhaul tasks send` and `longhaul tasks watch`: a task, as it goes.

use super::{ask, attempts::Attempts, hint, resolve, view::View};
use crate::{
    args::{SendTask, Server, WatchTask},
    client::{Begin, Endpoint, Follow, Patience, Site, Step, answer, draft, params, unreadable},
    exit::{Done, Failure, Outcome},
};
use longhaul_domain::TaskState;
use longhaul_runtime::{SystemClock, SystemIds};
use longhaul_wire::{ReceivedEvent, ReceivedSend, SendRequest, TaskRef, v1};
use std::{io, pin::pin};

/// How far a stream was followed.
enum End {
    /// To its end: the task, and its state when the last event told one.
    Over(Option<TaskRef>, Option<TaskState>),
    /// Until the user had enough.
    Interrupted(Option<TaskRef>),
}

/// `longhaul tasks send`.
pub async fn send(args: SendTask) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?;
    let mut request = draft(&args, &SystemIds, &SystemClock, &mut io::stdin())?;
    if let Some(task) = &args.task {
        request.target = Some(resolve::task(task, &args.server).await?);
    }
    let mut attempts = attempts(&args.server)?;
    let mut view = View::new(args.json, args.output.as_deref())?;
    if args.no_wait || args.no_stream {
        return send_once(&endpoint, &request, &args, &mut view).await;
    }
    loop {
        let message = request.message.message_id.to_string();
        let mut stream =
            Follow::new(&endpoint, Begin::Send(params(&request)?), Patience::default());
        match follow(&mut stream, &mut view, &mut attempts, None).await? {
            End::Interrupted(Some(task)) => return interrupted(&task, &args.server, &mut view),
            End::Interrupted(None) => return unknown(&message, &mut view),
            End::Over(Some(task), Some(TaskState::InputRequired)) => {
                match ask_for_answer(&mut view).await? {
                    Said::Answer(text) => request = answer(text, &task, &SystemIds)?,
                    Said::Nothing => {
                        return over(
                            Some(&task),
                            Some(TaskState::InputRequired),
                            &args.server,
                            &mut view,
                        );
                    }
                    Said::Enough => return interrupted(&task, &args.server, &mut view),
                }
            }
            End::Over(task, state) => return over(task.as_ref(), state, &args.server, &mut view),
        }
    }
}

/// `longhaul tasks watch`.
pub async fn watch(args: WatchTask) -> Outcome {
    let endpoint = Endpoint::new(&args.server)?;
    let mut view = View::new(args.json, args.output.as_deref())?;
    let begin = Begin::Watch(resolve::task(&args.id, &args.server).await?);
    let mut attempts = attempts(&args.server)?;
    let mut stream = Follow::new(&endpoint, begin, Patience::default());
    match follow(&mut stream, &mut view, &mut attempts, Some(&args.server)).await? {
        End::Interrupted(_) => interrupted(&args.id, &args.server, &mut view),
        End::Over(task, state) => over(task.as_ref(), state, &args.server, &mut view),
    }
}

fn attempts(server: &Server) -> Result<Attempts, Failure> {
    Ok(Attempts::new(Site::new(&server.url, server.api_key.as_ref())?))
}

/// Shows everything that comes, and while nothing comes, which attempts have failed; tells a watcher of this server how to
/// answer a question.
async fn follow(
    stream: &mut Follow<'_>,
    view: &mut View,
    attempts: &mut Attempts,
    watched: Option<&Server>,
) -> Result<End, Failure> {
    let mut state = None;
    loop {
        let task = stream.task().cloned();
        let Some(step) = step_or_interrupt(stream, view, attempts, task.as_ref()).await? else {
            view.finish()?;
            return Ok(End::Interrupted(stream.task().cloned()));
        };
        match step {
            Some(Step::Came(frame)) => {
                attempts.heard();
                view.event(&frame.raw, &frame.event)?;
                let before = std::mem::replace(&mut state, stream.state());
                let asks = state == Some(TaskState::InputRequired) && before != state;
                if let (true, Some(server), Some(task)) = (asks, watched, stream.task()) {
                    view.remark(&format!("Answer it: {}", hint::answer(task, server)))?;
                }
            }
            Some(Step::Lost(error)) => view.remark(&format!("{error}; connecting again"))?,
            None => {
                let failed = stream.state() == Some(TaskState::Failed);
                if let (Some(task), true) = (stream.task(), failed || attempts.has_looked()) {
                    attempts.show_new(task, view).await?;
                }
                view.finish()?;
                return Ok(End::Over(stream.task().cloned(), stream.state()));
            }
        }
    }
}

/// The next step of a stream, or nothing when the user had enough. While the stream is silent, failed attempts are shown.
async fn step_or_interrupt(
    stream: &mut Follow<'_>,
    view: &mut View,
    attempts: &mut Attempts,
    task: Option<&TaskRef>,
) -> Result<Option<Option<Step>>, Failure> {
    // Polled to its end: dropped in the middle, it would forget its back-off and send again.
    let mut next = pin!(stream.next());
    loop {
        tokio::select! {
            biased;
            step = &mut next => return Ok(Some(step?)),
            () = attempts.silence() => {
                if let Some(task) = task {
                    attempts.show_new(task, view).await?;
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(None),
        }
    }
}

/// Sends without a stream: the answer is all there is.
async fn send_once(
    endpoint: &Endpoint,
    request: &SendRequest,
    args: &SendTask,
    view: &mut View,
) -> Outcome {
    let params = params(request)?;
    let sending = async {
        if args.no_wait {
            endpoint.call("SendMessage", &params).await
        } else {
            endpoint.call_and_wait("SendMessage", &params).await
        }
    };
    let raw = tokio::select! {
        sent = sending => sent?,
        _ = tokio::signal::ctrl_c() => return unknown(request.message.message_id.as_str(), view),
    };
    let received = v1::received_send(&raw).map_err(|error| unreadable(&error))?;
    let (event, task) = match received {
        ReceivedSend::Task(task) => {
            let (id, state) = (task.id.clone(), task.status.state);
            (ReceivedEvent::Task(task), Some((id, state)))
        }
        ReceivedSend::Message(message) => (ReceivedEvent::Message(message), None),
    };
    view.event(&raw, &event)?;
    view.finish()?;
    match task {
        None => Ok(Done::Ok),
        Some((task, state)) if !state.is_terminal() && !state.is_parked() => {
            view.remark(&format!(
                "It goes on. Watch it: {}",
                hint::command("watch", &task, &args.server)
            ))?;
            Ok(Done::Ok)
        }
        Some((task, state)) => over(Some(&task), Some(state), &args.server, view),
    }
}

/// The exit code of what was followed, and what the user may do now.
fn over(
    task: Option<&TaskRef>,
    state: Option<TaskState>,
    server: &Server,
    view: &mut View,
) -> Outcome {
    match (task, state) {
        (Some(task), Some(TaskState::InputRequired)) => {
            view.remark(&format!("Answer it: {}", hint::answer(task, server)))?;
        }
        (Some(task), Some(TaskState::AuthRequired)) => {
            let watch = hint::command("watch", task, server);
            view.remark(&format!("It waits for an authorization. Watch it: {watch}"))?;
        }
        _ => {}
    }
    Ok(state.map_or(Done::Ok, Done::Task))
}

/// What the person at the terminal says to a question.
enum Said {
    Answer(String),
    Nothing,
    /// Ctrl-C.
    Enough,
}

async fn ask_for_answer(view: &mut View) -> Result<Said, Failure> {
    if !view.is_screen() || !ask::possible() {
        return Ok(Said::Nothing);
    }
    tokio::select! {
        line = ask::line() => Ok(line?.map_or(Said::Nothing, Said::Answer)),
        _ = tokio::signal::ctrl_c() => {
            view.remark("")?;
            Ok(Said::Enough)
        }
    }
}

/// Interrupted before the server had named a task.
fn unknown(message: &str, view: &mut View) -> Outcome {
    view.remark(&format!(
        "Interrupted. Whether the task was accepted is not known; the same command with --message-id {} finds it.",
        hint::quoted(message)
    ))?;
    Ok(Done::Interrupted)
}

fn interrupted(task: &dyn std::fmt::Display, server: &Server, view: &mut View) -> Outcome {
    view.remark(&format!(
        "The task goes on. Watch it:  {}\n                  Cancel it: {}",
        hint::command("watch", task, server),
        hint::command("cancel", task, server),
    ))?;
    Ok(Done::Interrupted)
}
