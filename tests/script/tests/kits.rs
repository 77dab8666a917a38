//! Behaviour of the `script` executor towards conformance kits.

use longhaul_domain::{MessageId, TaskState};
use longhaul_executor::{
    prelude::*,
    testkit::{TestReport, TestRun, TestRunEnd},
};
use longhaul_script::{KitSettings, ScriptExecutor};

fn executor() -> ScriptExecutor {
    ScriptExecutor::new(
        ExecutorDescriptor::text("kit", "1.0.0", "Under test").expect("a valid name"),
    )
}

/// A message with this id.
fn with_id(run: TestRun, id: &str) -> TestRun {
    let heard = &run.task().history.last().expect("a message").message;
    let message = Message {
        message_id: MessageId::new(id).expect("a valid id"),
        ..Message::new(heard.message_id.clone(), Role::User, vec![Part::text("prerequisite")])
    };
    run.message(message)
}

async fn by_id(id: &str) -> TestReport {
    with_id(TestRun::new(executor()).text(""), id).run().await
}

async fn by_text(text: &str) -> TestReport {
    TestRun::new(executor()).text(text).run().await
}

#[tokio::test]
async fn the_id_of_a_message_chooses_the_behaviour() {
    for (id, state, said) in [
        ("tck-complete-task-7f", TaskState::Completed, "Hello from TCK"),
        ("tck-input-required-7f", TaskState::InputRequired, "what next?"),
        ("tck-reject-task-7f", TaskState::Rejected, "rejected"),
        ("tck-stream-002-7f-grpc", TaskState::Completed, "Stream completed"),
    ] {
        let report = by_id(id).await;
        assert_eq!((report.state(), report.status_text().as_str()), (state, said), "{id}");
        assert!(report.artifacts().is_empty(), "{id}");
    }
    let direct = by_id("tck-message-response-7f").await;
    assert!(
        matches!(direct.outcome(), Outcome::Direct(m) if m.text() == "Direct message response")
    );
}

#[tokio::test]
async fn artifacts_have_the_expected_number_of_chunks() {
    for (id, text, chunks) in [
        ("tck-artifact-text-7f", "Generated text content", 1),
        ("tck-stream-001-7f", "Stream hello from TCK", 1),
        ("tck-stream-artifact-chunked-7f", "chunk-1 chunk-2", 2),
    ] {
        let report = by_id(id).await;
        assert_eq!(report.artifact_text("artifact-1"), text);
        assert_eq!(report.chunks().len(), chunks, "{id}");
        assert!(report.chunks().last().expect("a chunk").last_chunk);
        assert_eq!(report.state(), TaskState::Completed);
    }
}

#[tokio::test]
async fn the_id_of_the_next_message_chooses_again() {
    let asked = by_id("tck-input-required-7f").await;
    let again = with_id(asked.answer(""), "tck-input-required-7f").run().await;
    assert_eq!(again.state(), TaskState::InputRequired);
    let done = with_id(again.answer(""), "tck-complete-task-7f").run().await;
    assert_eq!(
        (done.state(), done.status_text().as_str()),
        (TaskState::Completed, "Hello from TCK")
    );
}

#[tokio::test]
async fn a_message_without_a_behaviour_answers_the_question_of_the_task() {
    let asked = by_id("tck-input-required-7f").await;
    let report = with_id(asked.answer(""), "tck-infer-ctx-7f").run().await;
    assert_eq!(report.state(), TaskState::Completed);
}

#[tokio::test]
async fn the_first_text_of_a_task_chooses_the_behaviour() {
    for (text, state) in [
        ("tck-complete-task", TaskState::Completed),
        ("tck-input-required", TaskState::InputRequired),
        ("tck-auth-required", TaskState::AuthRequired),
        ("tck-reject-task", TaskState::Rejected),
        ("tck-task-failure", TaskState::Failed),
        ("tck-artifact-file-url", TaskState::Completed),
        ("tck-stream-chunked", TaskState::Completed),
    ] {
        let report = by_text(text).await;
        assert_eq!(report.state(), state, "{text}");
        assert_eq!(
            report.chunks().len(),
            if text.contains("chunked") { 3 } else { usize::from(text.contains("file")) }
        );
    }
    assert!(!by_text("tck-task-failure").await.failure().retryable);
}

#[tokio::test]
async fn a_conversation_continues_until_the_client_says_done() {
    let asked = by_text("tck-multi-turn start").await;
    let again = asked.answer("more").run().await;
    assert_eq!(again.state(), TaskState::InputRequired);
    assert_eq!(again.answer("done").run().await.state(), TaskState::Completed);
}

#[tokio::test]
async fn an_authorization_completes_the_task() {
    let asked = by_text("tck-auth-required").await;
    assert_eq!(asked.answer("here it is").run().await.state(), TaskState::Completed);
}

#[tokio::test]
async fn a_cancel_task_works_until_it_is_canceled() {
    let report = TestRun::new(executor()).text("tck-cancel").cancel_after_events(0).run().await;
    assert!(matches!(report.end(), TestRunEnd::Outcome(Outcome::Canceled(Some(_)))));
}

#[tokio::test(start_paused = true)]
async fn long_work_takes_about_a_second_and_leaves_an_artifact() {
    let began = tokio::time::Instant::now();
    let report = by_text("tck-long-running").await;
    assert_eq!(began.elapsed().as_millis(), 1000);
    assert_eq!((report.state(), report.artifacts().len()), (TaskState::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_resubscribe_task_works_for_twice_the_kits_timeout() {
    let executor = executor().kits(KitSettings::with_stream_timeout(Some("3")));
    let began = tokio::time::Instant::now();
    let report =
        with_id(TestRun::new(executor).text(""), "test-resubscribe-message-id-7f").run().await;
    assert_eq!(began.elapsed().as_millis(), 6000);
    assert_eq!(report.state(), TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_plan_get_the_fallback_every_time() {
    let executor = executor().fallback("wait 3000; ask").expect("a plan that makes sense");
    let began = tokio::time::Instant::now();
    let asked = TestRun::new(executor).text("anything").run().await;
    assert_eq!((began.elapsed().as_millis(), asked.state()), (3000, TaskState::InputRequired));
    let again = asked.answer("more").run().await;
    assert_eq!((began.elapsed().as_millis(), again.state()), (6000, TaskState::InputRequired));
    let last = again.answer("!complete").run().await;
    assert_eq!(last.state(), TaskState::Completed);
}

#[tokio::test]
async fn invalid_fallback_commands_are_refused_with_the_reason() {
    let error = executor().fallback("dance").expect_err("no command");
    assert!(error.to_string().contains("\"dance\""), "{error}");
}
