//! Promises of the context to an executor, and what the test kit reports.

mod support;

use longhaul_executor::{
    domain::{MAX_INLINE_CONTENT_BYTES, MessageId, Seq, TaskState},
    prelude::*,
    testkit::{TestRun, TestRunEnd},
};
use support::{FnExecutor, done};

#[tokio::test]
async fn chunks_add_up_to_the_artifact_and_only_the_first_is_not_appended() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let mut writer = ctx.stream_artifact(ArtifactSpec::named("pages"));
            for page in ["a", "b"] {
                writer.write(vec![Part::text(page)]).await?;
            }
            writer.finish(vec![Part::text("c")]).await?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").run().await;
    assert_eq!(report.artifact_text("artifact-1"), "abc");
    let shape: Vec<_> = report.chunks().iter().map(|c| (c.append, c.last_chunk)).collect();
    assert_eq!(shape, [(false, false), (true, false), (true, true)]);
    assert_eq!(report.artifacts()[0].name.as_deref(), Some("pages"));
    assert_eq!(report.state(), TaskState::Completed);
}

#[tokio::test]
async fn a_second_attempt_reuses_artifact_ids_and_replaces_the_first_attempts_artifacts() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let text = format!("of attempt {}", ctx.attempt());
            ctx.artifact(ctx.new_artifact(vec![Part::text(text)])).await?;
            if ctx.attempt() == 1 {
                return Err(ExecutorError::retryable("out of luck"));
            }
            done()
        })
    });
    let first = TestRun::new(executor).text("go").run().await;
    assert!(first.failure().retryable);
    assert_eq!(first.state(), TaskState::Working);
    let second = first.retry().run().await;
    assert_eq!(second.artifact_text("artifact-1"), "of attempt 2");
    assert_eq!(second.artifacts().len(), 1);
}

#[tokio::test]
async fn an_artifact_that_an_earlier_attempt_left_can_be_continued() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            match ctx.produced_artifacts().await?.first() {
                None => {
                    let mut writer = ctx.stream_artifact(ArtifactSpec::default());
                    writer.write(vec![Part::text("1"), Part::text("2")]).await?;
                    writer.write(vec![Part::text("3")]).await?;
                    done()
                }
                Some(found) => {
                    assert_eq!(found.parts, 2);
                    let writer = ctx.continue_artifact(found.id.clone()).await?;
                    writer.finish(vec![Part::text("3!")]).await?;
                    done()
                }
            }
        })
    });
    let lost = TestRun::new(executor)
        .text("go")
        .stop_after_events(1, OutputStopped::LeaseLost)
        .run()
        .await;
    assert_eq!(lost.end(), &TestRunEnd::Stopped(OutputStopped::LeaseLost));
    let report = lost.after_worker_loss().run().await;
    assert_eq!(report.artifact_text("artifact-1"), "123!");
}

#[tokio::test]
async fn an_artifact_that_was_never_begun_cannot_be_appended_to() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let artifact = ctx.new_artifact(vec![Part::text("x")]);
            assert!(ctx.continue_artifact(artifact.artifact_id.clone()).await.is_err());
            let update = longhaul_executor::domain::ArtifactUpdate {
                append: true,
                ..longhaul_executor::domain::ArtifactUpdate::complete(artifact)
            };
            ctx.artifact_update(update).await?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").run().await;
    assert!(!report.failure().retryable);
    assert!(report.failure().cause.contains("appended before"), "{}", report.failure().cause);
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_an_error_with_its_position() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.artifact(ctx.new_artifact(vec![Part::text("ok"), Part::text("a\0b")])).await?;
            done()
        })
    });
    let failed = TestRun::new(executor).text("go").run().await;
    let cause = &failed.failure().cause;
    assert!(cause.contains("artifact.parts[1].text") && cause.contains("U+0000"), "{cause}");

    let at_the_end = FnExecutor(|ctx| Box::pin(async move { Ok(ctx.completed("a\0")) }));
    let report = TestRun::new(at_the_end).text("go").run().await;
    assert!(report.failure().cause.contains("message.parts[0].text"));
}

#[tokio::test]
async fn a_turn_after_an_answer_sees_the_exchange_and_uses_new_artifact_ids() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let id = ctx.new_artifact(vec![Part::text("x")]);
            ctx.artifact(id).await?;
            if ctx.turn() == 1 {
                return Ok(ctx.input_required("which one?"));
            }
            let said: Vec<String> = ctx.history().iter().map(|item| item.message.text()).collect();
            Ok(ctx.completed(said.join("|")))
        })
    });
    let asked = TestRun::new(executor).text("wish").run().await;
    assert_eq!(asked.state(), TaskState::InputRequired);
    let report = asked.answer("that one").run().await;
    assert_eq!(report.status_text(), "wish|which one?|that one");
    let ids: Vec<&str> = report.artifacts().iter().map(|a| a.artifact_id.as_str()).collect();
    assert_eq!(ids, ["artifact-1", "artifact-2-1"]);
}

#[tokio::test]
async fn every_call_of_a_stopped_run_fails_at_once_with_the_reason() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.status("begun").await?;
            assert_eq!(ctx.stopped().await, OutputStopped::TimedOut);
            assert!(ctx.status("more").await.is_err());
            assert!(ctx.next_message().await.is_err());
            assert!(ctx.earlier_tasks(1).await.is_err());
            ctx.flush().await?;
            done()
        })
    });
    let report =
        TestRun::new(executor).text("go").stop_after_events(1, OutputStopped::TimedOut).run().await;
    assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::TimedOut));
    assert_eq!(report.status_texts(), ["begun"]);
}

#[tokio::test]
async fn messages_during_a_run_arrive_in_order_and_count_as_read() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let before = ctx.read_up_to();
            ctx.status("listening").await?;
            let first = ctx.next_message().await?.text();
            assert!(ctx.read_up_to() > before);
            let second = ctx.next_message().await?.text();
            Ok(ctx.completed(format!("{first} {second}")))
        })
    });
    let report = TestRun::new(executor)
        .text("go")
        .follow_up("early")
        .follow_up_after_events(1, "late")
        .run()
        .await;
    assert_eq!(report.status_text(), "early late");
    let heard = report.task().last_user_message().map(|item| item.seq);
    assert_eq!(Some(report.read_up_to()), heard);
    assert!(report.read_up_to() > Seq(1));
}

#[tokio::test]
async fn large_parts_are_read_back_complete() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let part = &ctx.message().parts[0];
            assert!(part.blob().is_some(), "a large part comes as a reference");
            let length = ctx.bytes(part).await?.len();
            assert_eq!(ctx.text(part).await?.len(), length);
            let whole = ctx.resolve(ctx.message().clone()).await?;
            Ok(ctx.completed(format!("{length} {}", whole.text().len())))
        })
    });
    let size = MAX_INLINE_CONTENT_BYTES + 1;
    let report = TestRun::new(executor).text("x".repeat(size)).run().await;
    assert_eq!(report.status_text(), format!("{size} {size}"));
}

#[tokio::test]
async fn other_tasks_of_the_owner_can_be_read() {
    let other =
        TestRun::new(FnExecutor(|_| Box::pin(async { done() }))).text("earlier").task().clone();
    let key = longhaul_executor::domain::TaskKey {
        task: "018f2f6e-7b7a-7000-8000-000000000001".parse().unwrap(),
        ..other.key
    };
    let other = longhaul_executor::domain::Task { key, ..other };
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let earlier = ctx.earlier_tasks(5).await?.len();
            let referenced = ctx.referenced_tasks().await?;
            Ok(ctx.completed(format!("{earlier} {}", referenced[0].history[0].message.text())))
        })
    });
    let references = vec!["nonsense".to_owned(), key.task.to_string()];
    let message = Message {
        reference_task_ids: references,
        ..Message::new(MessageId::new("m").unwrap(), Role::User, vec![Part::text("go")])
    };
    let report = TestRun::new(executor).other_task(other).message(message).run().await;
    assert_eq!(report.status_text(), "1 earlier");
}

#[tokio::test]
async fn a_panic_is_reported_with_its_message() {
    let executor = FnExecutor(|_| Box::pin(async { panic!("no paper") }));
    let report = TestRun::new(executor).text("go").run().await;
    assert_eq!(report.end(), &TestRunEnd::Panicked("no paper".to_owned()));
}

#[tokio::test]
async fn messages_of_the_agent_carry_their_task_and_context() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let foreign =
                Message::new(MessageId::new("mine").unwrap(), Role::User, vec![Part::text("x")]);
            ctx.status_message(foreign).await?;
            let metadata = JsonObject::parse(r#"{"page":1}"#)?;
            ctx.progress("one", metadata).await?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").run().await;
    let statuses = report.statuses();
    let message = statuses[0].message.as_ref().unwrap();
    assert_eq!((message.role, message.message_id.as_str()), (Role::Agent, "mine"));
    assert_eq!(message.task_id, Some(report.task().key.task));
    assert_eq!(message.context_id.as_ref(), Some(&report.task().context));
    assert_eq!(statuses[1].metadata.as_ref().unwrap().as_str(), r#"{"page":1}"#);
}

#[tokio::test]
async fn an_executor_knows_what_the_client_activated_for_its_last_message() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            if ctx.turn() == 1 {
                assert!(ctx.activated("urn:a:v1") && !ctx.activated("urn:b:v1"));
                return Ok(ctx.input_required("and now?"));
            }
            assert!(ctx.activated("urn:b:v1") && !ctx.activated("urn:a:v1"));
            done()
        })
    });
    let said = |id: &str, extension: &str| {
        let id = MessageId::new(id).unwrap();
        let message = Message::new(id, Role::User, vec![Part::text("hi")]);
        Message { extensions: vec![extension.to_owned()], ..message }
    };
    let first = TestRun::new(executor).message(said("1", "urn:a:v1")).run().await;
    let second = first.answer("this").message(said("2", "urn:b:v1")).run().await;
    assert_eq!(second.state(), TaskState::Completed);
}

#[tokio::test]
async fn an_executor_sees_the_output_modes_that_the_client_accepts() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let taken = ["text/plain", "image/png", "application/json"].map(|t| ctx.accepts(t));
            ctx.status(format!("{taken:?}")).await?;
            Ok(ctx.input_required(ctx.accepted_output_modes().join(" ")))
        })
    });
    let asked =
        TestRun::new(executor).accepted_output_modes(&["text/*;q=0.5", "IMAGE/PNG"]).text("go");
    let report = asked.crash_after_write(1).run().await.after_worker_loss().run().await;
    assert_eq!(report.status_text(), "text/*;q=0.5 IMAGE/PNG", "also on another worker");
    assert_eq!(report.status_texts(), ["[true, true, false]"]);
    let report = report.answer("and now").run().await;
    assert_eq!(report.status_text(), "", "each message says it anew");
    assert_eq!(report.status_texts(), ["[true, true, true]"], "nothing said is everything taken");
}

#[tokio::test]
async fn progress_takes_any_object_and_text_files_are_read_as_text() {
    #[derive(serde::Serialize)]
    struct Page {
        page: u32,
    }
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.progress("one", serde_json::json!({"page": 1})).await?;
            ctx.progress("two", Page { page: 2 }).await?;
            let refused = ctx.progress("three", 3).await.unwrap_err().to_string();
            assert!(refused.contains("give it a JSON object"), "{refused}");
            let message = ctx.resolve(ctx.message().clone()).await?;
            let mut texts = Vec::new();
            for part in &ctx.message().parts {
                texts.push(ctx.text(part).await.unwrap_or_else(|error| error.to_string()));
            }
            Ok(ctx.completed(format!("{} / {}", message.text().len(), texts.join(" / "))))
        })
    });
    let large = "x".repeat(2 * MAX_INLINE_CONTENT_BYTES);
    let parts = vec![
        Part::text("said"),
        Part::raw("sent", "text/markdown"),
        Part::raw(large.clone(), "text/plain"),
        Part::raw("%PDF", "application/pdf"),
    ];
    let report = TestRun::new(executor).parts(parts).run().await;
    let metadata: Vec<_> = report.statuses().iter().filter_map(|s| s.metadata.clone()).collect();
    let metadata: Vec<_> = metadata.iter().map(JsonObject::as_str).collect();
    assert_eq!(metadata, [r#"{"page":1}"#, r#"{"page":2}"#]);
    let wrong = "the part holds bytes that are no text in UTF-8, not text";
    let joined = "said\nsent\n".len() + large.len();
    assert_eq!(report.status_text(), format!("{joined} / said / sent / {large} / {wrong}"));
}
