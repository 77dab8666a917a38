//! Promises of the `script` executor to the tests that use it.

use longhaul_domain::{Content, TaskState};
use longhaul_executor::{
    prelude::*,
    testkit::{TestRun, TestRunEnd, crash_everywhere},
};
use longhaul_script::ScriptExecutor;

fn descriptor(name: &str) -> ExecutorDescriptor {
    ExecutorDescriptor::text(name, "1.0.0", "Under test").expect("a valid name")
}

fn script(text: &str) -> TestRun {
    TestRun::new(ScriptExecutor::new(descriptor("script"))).text(text)
}

#[tokio::test]
async fn text_without_a_command_is_echoed() {
    let report = script("hello").run().await;
    assert_eq!(report.artifact_text("artifact-1"), "hello");
    assert_eq!(report.state(), TaskState::Completed);
}

#[tokio::test]
async fn progress_and_chunks_have_the_planned_number_and_size() {
    let report = script("!progress 2; chunks 3 100; complete all done").run().await;
    assert_eq!(report.status_texts(), ["step 1 of 2", "step 2 of 2"]);
    let sizes: Vec<usize> =
        report.chunks().iter().map(|c| c.artifact.parts[0].inline_len()).collect();
    assert_eq!(sizes, [100, 100, 100]);
    assert_eq!(report.status_text(), "all done");
}

#[tokio::test]
async fn a_plan_in_metadata_does_the_same_as_commands() {
    let mut run = script("whatever");
    let metadata = r#"{"script":{"chunks":{"count":2},"end":"rejected","say":"no"}}"#;
    let mut message = run.task().history[0].message.clone();
    message.metadata = Some(JsonObject::parse(metadata).unwrap());
    run = run.message(message);
    let report = run.run().await;
    assert_eq!(report.chunks().len(), 2);
    assert_eq!((report.state(), report.status_text().as_str()), (TaskState::Rejected, "no"));
}

#[tokio::test]
async fn every_ending_is_reached() {
    for (text, state) in [
        ("!complete", TaskState::Completed),
        ("!fail", TaskState::Failed),
        ("!reject", TaskState::Rejected),
        ("!cancel", TaskState::Canceled),
        ("!ask", TaskState::InputRequired),
        ("!auth", TaskState::AuthRequired),
        ("!direct", TaskState::Completed),
    ] {
        assert_eq!(script(text).run().await.state(), state, "{text}");
    }
}

#[tokio::test]
async fn a_flaky_script_fails_as_often_as_asked_and_then_succeeds() {
    let first = script("!chunks 2; flaky 2").run().await;
    assert!(first.failure().retryable);
    let second = first.retry().run().await;
    assert!(second.failure().retryable);
    let third = second.retry().run().await;
    assert_eq!(third.state(), TaskState::Completed);
    assert_eq!(third.artifacts()[0].parts.len(), 2);
}

#[tokio::test]
async fn a_question_is_repeated_until_the_expected_answer() {
    let asked = script("!ask-until done").run().await;
    let again = asked.answer("not yet").run().await;
    assert_eq!(again.state(), TaskState::InputRequired);
    let report = again.answer("done").run().await;
    assert_eq!(report.state(), TaskState::Completed);
    assert_eq!(report.artifact_text("artifact-3-1"), "done");
}

#[tokio::test]
async fn every_kind_of_content_is_produced() {
    let report = script("!artifact mixed; large 100000").run().await;
    let kinds: Vec<_> = report.artifacts()[0].parts.iter().map(|part| &part.content).collect();
    assert!(matches!(
        kinds[..],
        [Content::Text(_), Content::Raw(_), Content::Url(_), Content::Data(_)]
    ));
    assert_eq!(report.artifacts()[1].parts[0].blob().unwrap().size, 100_000);
}

#[tokio::test]
async fn messages_during_the_run_are_received() {
    let report = script("!listen 2").follow_up("one").follow_up("two").run().await;
    assert_eq!(report.status_texts(), ["heard: one", "heard: two"]);
}

#[tokio::test]
async fn a_hanging_script_stops_when_it_is_canceled() {
    let report = script("!progress; hang").cancel_after_events(1).run().await;
    assert!(matches!(report.end(), TestRunEnd::Outcome(Outcome::Canceled(Some(_)))));
}

#[tokio::test]
async fn a_script_can_panic() {
    let report = script("!panic 1").run().await;
    assert!(matches!(report.end(), TestRunEnd::Panicked(text) if text.contains("asked")));
    assert_eq!(report.retry().run().await.state(), TaskState::Completed);
}

#[tokio::test]
async fn an_invalid_script_is_rejected_with_the_reason() {
    let report = script("!dance").run().await;
    assert_eq!(report.state(), TaskState::Rejected);
    assert!(report.status_text().contains("\"dance\"") && report.status_text().contains("chunks"));
}

#[tokio::test]
async fn steps_of_a_script_are_done_once_despite_crashes() {
    let run = async || script("!progress 2; step a 1; step b 1 half way; checkpoint c 3; complete");
    let reports = crash_everywhere(run).await;
    assert_eq!(reports[0].artifact_text("steps"), "a\nb\n");
    assert_eq!((reports[0].checkpoint("a"), reports[0].checkpoint("c")), (Some(1), Some(3)));
    let said = reports[0].status_texts();
    assert_eq!(said[2..], ["step a", "half way", "c 1 of 3", "c 2 of 3", "c 3 of 3"]);
}

#[tokio::test]
async fn a_failing_step_keeps_the_steps_before_it() {
    let first = script("!step a; step b; fail-in b 1; retry-after 70").run().await;
    assert_eq!(first.failure().retry_after, Some(std::time::Duration::from_millis(70)));
    assert_eq!((first.checkpoints(), first.artifact_text("steps")), (vec!["a"], "a\n".into()));
    let second = first.retry().run().await;
    assert_eq!((second.steps_begun(), second.artifact_text("steps")), (vec!["b"], "a\nb\n".into()));
    assert_eq!(second.checkpoint("b"), Some(2));
}

#[tokio::test]
async fn effects_are_written_to_the_workers_folder_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |text: &str, folder: Option<&std::path::Path>| {
        let script = ScriptExecutor::new(descriptor("script")).effects_in(folder.map(Into::into));
        TestRun::new(script).text(text)
    };
    let first = run("!step a; checkpoint c 2; effects log; flaky 1", Some(folder.path()));
    let report = first.run().await.retry().run().await;
    assert_eq!(report.state(), TaskState::Completed);
    let task = report.task().key.task;
    let lines = std::fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert_eq!(lines, format!("{task} 1 1 a\n{task} 1 1 c 1\n{task} 1 1 c 2\n"));

    for place in ["../log", "/tmp/log", "a/b", "."] {
        let report = run(&format!("!step a; effects {place}"), Some(folder.path())).run().await;
        assert_eq!(report.state(), TaskState::Rejected, "{place}");
    }
    let without = run("!step a; effects log", None).run().await;
    assert!(without.status_text().contains("SCRIPT_EFFECTS_FOLDER"), "{}", without.status_text());
}

#[tokio::test]
async fn a_script_continues_after_its_planned_aborts() {
    let report = script("!step a; exit 2").with_checkpoint("script-exits", &2).run().await;
    assert_eq!(report.state(), TaskState::Completed);
}

#[tokio::test]
async fn a_script_sends_the_planned_heartbeats() {
    assert_eq!(script("!heartbeat 3").run().await.heartbeats(), 3);
}

#[tokio::test]
async fn a_cancellation_during_a_step_discards_the_step() {
    let report = script("!progress; step a 3600000").cancel_after_events(1).run().await;
    assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Canceled));
    assert!(report.checkpoints().is_empty());
}
