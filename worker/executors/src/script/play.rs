//! Following a plan.

use super::{
    effects::Effects,
    plan::{Chunks, Ending, Hang, Kind, Output, Plan},
};
use longhaul_executor::prelude::*;
use longhaul_runtime::{Clock, SystemClock};
use std::{fmt::Write, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Why a run ends before its plan does.
pub(super) enum Break {
    /// The run shall stop.
    Canceled,
    Failed(ExecutorError),
}

impl<E: Into<ExecutorError>> From<E> for Break {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Does what the plan says. `answered`: the client has replied to its question.
pub(super) async fn play(
    ctx: &TaskContext,
    plan: &Plan,
    effects: &Effects,
    answered: bool,
) -> Result<Outcome, ExecutorError> {
    let player = Player { ctx, plan, effects };
    let end = if answered { player.answer().await } else { player.perform().await };
    match end {
        Ok(outcome) => Ok(outcome),
        Err(Break::Canceled) => Ok(Outcome::Canceled(Some(ctx.agent_message("stopped as asked")))),
        Err(Break::Failed(error)) => Err(error),
    }
}

pub(super) struct Player<'a> {
    pub ctx: &'a TaskContext,
    pub plan: &'a Plan,
    pub effects: &'a Effects,
}

impl Player<'_> {
    async fn perform(&self) -> Result<Outcome, Break> {
        let Self { ctx, plan, .. } = self;
        self.wait(plan.delay_ms).await?;
        self.progress().await?;
        for _ in 0..plan.heartbeats {
            ctx.heartbeat();
            self.wait(plan.heartbeat_delay_ms).await?;
        }
        if let Some(chunks) = plan.chunks {
            self.chunks(chunks).await?;
        }
        for kind in &plan.artifacts {
            ctx.artifact(ctx.new_artifact(parts(*kind)?)).await?;
        }
        for output in &plan.outputs {
            self.output(output).await?;
        }
        if plan.large_bytes > 0 {
            let part =
                Part::raw(pattern(plan.large_bytes).into_bytes(), "application/octet-stream");
            ctx.artifact(ctx.new_artifact(vec![part])).await?;
        }
        self.steps().await?;
        self.cursor().await?;
        for _ in 0..plan.listen {
            let message = ctx.resolve(ctx.next_message().await?).await?;
            ctx.status(format!("heard: {}", message.text())).await?;
        }
        match plan.hang {
            Some(Hang::UntilCancel) => {
                ctx.cancelled().await;
                return Err(Break::Canceled);
            }
            Some(Hang::Forever) => std::future::pending().await,
            None => {}
        }
        self.exit().await?;
        assert!(ctx.attempt() > plan.panic_attempts, "the script asked for a panic");
        if ctx.attempt() <= plan.fail_attempts {
            return Ok(self.failure(plan.retryable.unwrap_or(true)));
        }
        self.end().await
    }

    async fn end(&self) -> Result<Outcome, Break> {
        let Self { ctx, plan, .. } = self;
        let say = |default: &str| plan.say.clone().unwrap_or_else(|| default.to_owned());
        Ok(match plan.end {
            Ending::Completed => {
                if **plan == Plan::default() {
                    ctx.artifact(ctx.new_artifact(ctx.message().parts.clone())).await?;
                }
                Outcome::Completed(plan.say.as_deref().map(|text| ctx.agent_message(text)))
            }
            Ending::Failed => self.failure(plan.retryable.unwrap_or(false)),
            Ending::Rejected => ctx.rejected(say("rejected as asked")),
            Ending::Canceled => {
                Outcome::Canceled(Some(ctx.agent_message(say("canceled as asked"))))
            }
            Ending::InputRequired => ctx.input_required(say("what next?")),
            Ending::AuthRequired => ctx.auth_required(say("please authorize")),
            Ending::Message => ctx.direct(say("a direct reply")),
        })
    }

    /// The turn after a question.
    async fn answer(&self) -> Result<Outcome, Break> {
        let Self { ctx, plan, .. } = self;
        let message = ctx.resolve(ctx.message().clone()).await?;
        let text = message.text();
        match &plan.until {
            Some(until) if text.trim() != until.as_str() => {
                Ok(ctx.input_required(format!("got {text:?}, waiting for {until:?}")))
            }
            _ => {
                ctx.artifact(ctx.new_artifact(message.parts)).await?;
                Ok(Outcome::Completed(None))
            }
        }
    }

    async fn progress(&self) -> Result<(), Break> {
        let total = self.plan.progress;
        for step in 1..=total {
            let metadata = JsonObject::parse(&format!(r#"{{"step":{step},"of":{total}}}"#))?;
            self.ctx.progress(format!("step {step} of {total}"), metadata).await?;
            self.wait(self.plan.progress_delay_ms).await?;
        }
        Ok(())
    }

    async fn chunks(&self, chunks: Chunks) -> Result<(), Break> {
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::named("chunks"));
        let begun = Instant::now();
        for number in 1..chunks.count {
            writer.write(vec![chunk(number, chunks)]).await?;
            self.wait(chunks.delay_ms).await?;
            self.wait_until(begun + Duration::from_millis(chunks.every_ms) * number).await?;
        }
        if chunks.count > 0 {
            writer.finish(vec![chunk(chunks.count, chunks)]).await?;
        }
        Ok(())
    }

    async fn output(&self, output: &Output) -> Result<(), Break> {
        let Some((last, others)) = output.chunks.split_last() else { return Ok(()) };
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::default());
        for part in others {
            writer.write(vec![part.clone()]).await?;
        }
        Ok(writer.finish(vec![last.clone()]).await?)
    }

    fn failure(&self, retryable: bool) -> Outcome {
        let cause = format!("failed as asked in attempt {}", self.ctx.attempt());
        let said = self.plan.say.clone().unwrap_or_else(|| cause.clone());
        let retry_after = self.plan.retry_after_ms.map(Duration::from_millis);
        let message = Some(self.ctx.agent_message(said));
        Outcome::Failed(ExecutorFailure {
            message,
            cause,
            for_operators: false,
            retryable,
            retry_after,
        })
    }

    pub async fn wait(&self, ms: u64) -> Result<(), Break> {
        self.wait_until(Instant::now() + Duration::from_millis(ms)).await
    }

    async fn wait_until(&self, moment: Instant) -> Result<(), Break> {
        if moment <= Instant::now() {
            return Ok(());
        }
        tokio::select! {
            () = sleep_until(moment) => Ok(()),
            () = self.ctx.cancelled(), if !self.plan.ignore_cancel => Err(Break::Canceled),
        }
    }
}

/// A text that tells its number, its time where that is asked for, and has the asked-for size.
fn chunk(number: u32, chunks: Chunks) -> Part {
    let Chunks { size, stamped, .. } = chunks;
    let mut text = String::with_capacity(size.max(32));
    // Writing to a String cannot fail.
    let _ = write!(text, "{number:07} ");
    if stamped {
        let _ = write!(text, "{} ", SystemClock.now().timestamp_micros());
    }
    // A time that was cut would be another one.
    let size = if stamped { size.max(text.len()) } else { size.max(1) };
    text.push_str(&pattern(size.saturating_sub(text.len())));
    text.truncate(size);
    Part::text(text)
}

fn pattern(size: usize) -> String {
    "0123456789abcdef".chars().cycle().take(size).collect()
}

fn parts(kind: Kind) -> Result<Vec<Part>, Break> {
    let text = || Part::text("a text");
    let raw = || Part {
        filename: Some("bytes.bin".to_owned()),
        ..Part::raw(vec![0, 1, 2, 0xff], "application/octet-stream")
    };
    let url = || Part {
        media_type: Some("text/plain".to_owned()),
        ..Part::url("https://example.com/file.txt")
    };
    let data = Part::data(Json::parse(r#"{"answer":42,"list":[1,null,"x"]}"#)?);
    Ok(match kind {
        Kind::Text => vec![text()],
        Kind::Raw => vec![raw()],
        Kind::Url => vec![url()],
        Kind::Data => vec![data],
        Kind::Mixed => vec![text(), raw(), url(), data],
    })
}
