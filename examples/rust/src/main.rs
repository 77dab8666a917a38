//! An agent that counts words, as a program: a development server by itself, a worker where there
//! is a database.
//!
//!     cargo run                                                  answers at http://127.0.0.1:8080
//!     LONGHAUL_DATABASE_URL=postgres://… cargo run --release     works for the API nodes on that database

use async_trait::async_trait;
use longhaul_executor::prelude::*;
use serde::Serialize;
use std::{process::ExitCode, sync::Arc};

/// Counts the words of each line that it is sent, as text or as text files.
struct WordCount;

/// The progress of a status, for programs.
#[derive(Serialize)]
struct Progress {
    line: usize,
    of: usize,
}

#[async_trait]
impl Executor for WordCount {
    fn descriptor(&self) -> ExecutorDescriptor {
        let name = "word-count";
        let mut descriptor =
            ExecutorDescriptor::text(name, env!("CARGO_PKG_VERSION"), "Counts words, line by line")
                .expect("a valid name");
        descriptor.agent.input_modes = vec!["text/*".to_owned()];
        descriptor
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let text = ctx.resolve(ctx.message().clone()).await?.text();
        if text.trim().is_empty() {
            return Ok(ctx.input_required("Which text shall I count?"));
        }
        let lines: Vec<&str> = text.lines().collect();
        let mut counts = ctx.stream_artifact(ArtifactSpec::named("counts.txt"));
        for (number, line) in lines.iter().enumerate() {
            let words = line.split_whitespace().count();
            counts.write(vec![Part::text(format!("{}: {words}\n", number + 1))]).await?;
            if number % 100 == 99 {
                let progress = Progress { line: number + 1, of: lines.len() };
                ctx.progress("still counting", progress).await?;
            }
        }
        Ok(ctx.completed(format!("{} lines", lines.len())))
    }
}

fn main() -> ExitCode {
    let executors = [Arc::new(WordCount) as Arc<dyn Executor>];
    if std::env::var_os("LONGHAUL_DATABASE_URL").is_some() {
        longhaul_cli::worker_main(executors)
    } else {
        longhaul_cli::dev_main(executors)
    }
}

#[cfg(test)]
mod tests {
    use super::WordCount;
    use longhaul_executor::{
        domain::{Part, TaskState},
        testkit::{TestRun, crash_everywhere},
    };

    #[tokio::test]
    async fn it_counts_the_words_of_texts_and_of_text_files() {
        let parts = vec![Part::text("one two"), Part::raw("three", "text/markdown")];
        let report = TestRun::new(WordCount).parts(parts).run().await;
        assert_eq!(report.artifact_text("artifact-1"), "1: 2\n2: 1\n");
        assert_eq!(report.status_text(), "2 lines");
    }

    #[tokio::test]
    async fn it_asks_for_a_text_when_there_is_none() {
        let asked = TestRun::new(WordCount).text(" ").run().await;
        assert_eq!(asked.state(), TaskState::InputRequired);
        let report = asked.answer("two words").run().await;
        assert_eq!(report.artifact_text("artifact-2-1"), "1: 2\n");
    }

    #[tokio::test]
    async fn a_worker_may_be_killed_anywhere() {
        crash_everywhere(async || TestRun::new(WordCount).text("one two\nthree")).await;
    }
}
