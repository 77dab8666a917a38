//! Promises of steps to an executor, and their rules.

mod support;

use longhaul_executor::{
    StepError,
    domain::{ArtifactUpdate, MAX_INLINE_CONTENT_BYTES},
    prelude::*,
    testkit::{TestRun, TestRunEnd, crash_everywhere, executor_fn},
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use support::{FnExecutor, artifact_ids, done, failed_fatally};

#[tokio::test]
async fn the_output_of_a_step_is_committed_with_its_result() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.status("before").await?;
            let pages: u32 = ctx
                .step("count", async |step| {
                    step.status("counting").await?;
                    step.artifact(step.new_artifact(vec![Part::text("one")])).await?;
                    Ok(7)
                })
                .await?;
            Ok(ctx.completed(pages.to_string()))
        })
    });
    let begun = TestRun::new(executor).text("go").crash_before_write(2).run().await;
    assert_eq!((begun.status_texts().join(","), begun.chunks().len()), ("before".into(), 0));
    assert_eq!(begun.checkpoint::<u32>("count"), None);
    let report = begun.after_worker_loss().run().await;
    assert_eq!((report.status_text().as_str(), report.checkpoint("count")), ("7", Some(7)));
    assert_eq!(report.status_texts(), ["before", "counting"]);
}

#[tokio::test]
async fn a_completed_step_is_not_repeated() {
    let effects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&effects);
    let executor = Arc::new(executor_fn(move |ctx: TaskContext| {
        let effects = Arc::clone(&counted);
        async move {
            let text = ctx
                .step("translate", async |_| {
                    effects.fetch_add(1, Ordering::SeqCst);
                    Ok("translated".to_owned())
                })
                .await?;
            if ctx.attempt() < 3 {
                return Err(ExecutorError::retryable("not yet"));
            }
            Ok(ctx.completed(text))
        }
    }));
    let first = TestRun::from_shared(executor).text("go").run().await;
    let second = first.retry().run().await;
    assert_eq!(second.steps_begun(), Vec::<&str>::new());
    let third = second.retry().run().await;
    assert_eq!((third.status_text().as_str(), effects.load(Ordering::SeqCst)), ("translated", 1));
}

/// Steps of every kind, between output of every kind.
const MIXED: FnExecutor = FnExecutor(|ctx| {
    Box::pin(async move {
        ctx.status("begin").await?;
        ctx.artifact(ctx.new_artifact(vec![Part::text("outside 1")])).await?;
        let mut log = ctx.stream_artifact(ArtifactSpec::named("log"));
        let mut pages = 0;
        for page in 1..=3 {
            pages += ctx.step(format!("page {page}"), async |step| read(&step, page).await).await?;
            log.write(vec![Part::text(format!("page {page};"))]).await?;
            ctx.checkpoint("cursor", &page).await?;
        }
        let (a, b) = tokio::join!(
            ctx.step("silent", async |_| Ok(())),
            ctx.step("loud", async |step| {
                let large = Part::text("x".repeat(MAX_INLINE_CONTENT_BYTES + 1));
                Ok(step.artifact(step.new_artifact(vec![large])).await?)
            }),
        );
        a.and(b)?;
        ctx.artifact(ctx.new_artifact(vec![Part::text("outside 3")])).await?;
        Ok(ctx.completed(format!("{pages} pages")))
    })
});

/// Adds a page to the artifact of all pages.
async fn read(step: &TaskContext, page: u32) -> Result<u32, ExecutorError> {
    step.status(format!("page {page}")).await?;
    let id = ArtifactId::new("pages")?;
    let mut pages = match page {
        1 => step.stream_artifact(ArtifactSpec::named("pages.txt").id(id)),
        _ => step.continue_artifact(id).await?,
    };
    pages.write(vec![Part::text(format!("{page} "))]).await?;
    step.artifact(step.new_artifact(vec![Part::text(format!("picture of {page}"))])).await?;
    Ok(1)
}

#[tokio::test]
async fn a_task_ends_the_same_despite_crashes_and_repeats_no_step() {
    let reports = crash_everywhere(async || TestRun::new(MIXED).text("go")).await;
    let undisturbed = &reports[0];
    assert_eq!(undisturbed.artifact_text("pages"), "1 2 3 ");
    assert_eq!(
        artifact_ids(undisturbed),
        [
            "artifact-1",
            "pages",
            "page 1-1",
            "artifact-2",
            "page 2-1",
            "page 3-1",
            "loud-1",
            "artifact-3"
        ]
    );
    assert_eq!(reports.len(), 1 + 2 * undisturbed.writes());
    let last = reports.last().expect("there is one");
    assert!(last.steps_begun().is_empty());
    assert_eq!(last.checkpoint("cursor"), Some(3));
}

#[tokio::test]
async fn steps_belong_to_the_task_and_are_kept_across_turns() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let once: i32 = ctx.step("once", async |step| Ok(step.turn())).await?;
            let name = format!("answer {}", ctx.turn());
            let each: i32 = ctx.step(name, async |step| Ok(step.turn())).await?;
            match ctx.turn() {
                1 => Ok(ctx.input_required("more?")),
                _ => Ok(ctx.completed(format!("{once} {each}"))),
            }
        })
    });
    let asked = TestRun::new(executor).text("go").run().await;
    assert_eq!(asked.answer("yes").run().await.status_text(), "1 2");
}

#[tokio::test]
async fn a_failed_step_stores_nothing_and_passes_its_error_on() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let tried: Result<(), _> = ctx
                .step("try", async |step| {
                    step.artifact(step.new_artifact(vec![Part::text("half")])).await?;
                    Err(ExecutorError::fatal("no paper"))
                })
                .await;
            assert!(tried.is_err());
            ctx.status("after").await?;
            tried?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").run().await;
    assert_eq!((report.failure().cause.as_str(), report.failure().retryable), ("no paper", false));
    assert_eq!((report.artifacts().len(), report.checkpoints().len()), (0, 0));
    assert_eq!(report.status_texts(), ["after"]);
}

#[tokio::test]
async fn a_name_can_be_used_once_in_an_attempt() {
    type Misuse = (&'static str, FnExecutor);
    let misuses: [Misuse; 5] = [
        (
            "one after the other",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("name", async |_| Ok(())).await?;
                    ctx.step("name", async |_| Ok(())).await?;
                    done()
                })
            }),
        ),
        (
            "after a failure",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    let _ = ctx
                        .step::<(), _, _>("name", async |_| {
                            Err("no".parse::<i32>().unwrap_err().into())
                        })
                        .await;
                    ctx.step("name", async |_| Ok(())).await?;
                    done()
                })
            }),
        ),
        (
            "side by side",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    let wait = async |step: TaskContext| {
                        step.cancelled().await;
                        Ok(())
                    };
                    tokio::select! {
                        biased;
                        a = ctx.step("name", wait) => a?,
                        b = ctx.step("name", wait) => b?,
                    }
                    done()
                })
            }),
        ),
        (
            "checkpoint after step",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("name", async |_| Ok(())).await?;
                    ctx.checkpoint("name", &1).await?;
                    done()
                })
            }),
        ),
        (
            "step after checkpoint",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.checkpoint("name", &1).await?;
                    ctx.step("name", async |_| Ok(())).await?;
                    done()
                })
            }),
        ),
    ];
    for (how, executor) in misuses {
        let report = TestRun::new(executor).text("go").run().await;
        assert!(failed_fatally(&report, "name was used twice"), "{how}: {report:?}");
    }
}

#[tokio::test]
async fn forbidden_operations_in_a_step_are_refused_in_either_context() {
    let within: [(&str, FnExecutor); 6] = [
        (
            "cannot be nested",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("a", async |step| step.step("b", async |_| Ok(())).await).await?;
                    done()
                })
            }),
        ),
        (
            "cannot be nested",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("a", async |_| ctx.step("b", async |_| Ok(())).await).await?;
                    done()
                })
            }),
        ),
        (
            "a checkpoint within step a",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("a", async |_| Ok(ctx.checkpoint("b", &1).await?)).await?;
                    done()
                })
            }),
        ),
        (
            "flush within step a",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("a", async |step| Ok(step.flush().await?)).await?;
                    done()
                })
            }),
        ),
        (
            "by the context from outside",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("a", async |_| {
                        Ok(ctx.artifact(ctx.new_artifact(vec![Part::text("x")])).await?)
                    })
                    .await?;
                    done()
                })
            }),
        ),
        (
            "cannot be named artifact-2",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("artifact-2", async |_| Ok(())).await?;
                    done()
                })
            }),
        ),
    ];
    for (refused, executor) in within {
        let report = TestRun::new(executor).text("go").run().await;
        assert!(failed_fatally(&report, refused), "{refused}: {report:?}");
    }
}

#[tokio::test]
async fn statuses_of_the_outer_context_are_visible_during_a_step() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.step("long", async |step| {
                step.status("held back").await?;
                ctx.status("half way").await?;
                Ok(())
            })
            .await?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").run().await;
    assert_eq!(report.status_texts(), ["half way", "held back"]);
}

#[tokio::test]
async fn an_artifact_is_written_either_by_steps_or_outside_of_them() {
    let sides: [(&str, FnExecutor); 5] = [
        (
            "cannot write to what was begun outside",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    let writer = ctx.new_artifact(vec![Part::text("a")]);
                    ctx.artifact(writer.clone()).await?;
                    ctx.step("s", async |step| Ok(step.artifact(writer).await?)).await?;
                    done()
                })
            }),
        ),
        (
            "cannot write to what was begun outside",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    let artifact = ctx.new_artifact(vec![Part::text("a")]);
                    ctx.artifact(artifact.clone()).await?;
                    ctx.step("s", async |step| {
                        step.continue_artifact(artifact.artifact_id).await?;
                        Ok(())
                    })
                    .await?;
                    done()
                })
            }),
        ),
        (
            "can be continued in steps only",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("s", async |step| {
                        Ok(step.artifact(step.new_artifact(vec![Part::text("a")])).await?)
                    })
                    .await?;
                    ctx.continue_artifact(ArtifactId::new("s-1")?).await?;
                    done()
                })
            }),
        ),
        (
            "appended before",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("s", async |step| {
                        Ok(step.artifact(step.new_artifact(vec![Part::text("a")])).await?)
                    })
                    .await?;
                    let more = Artifact::new(ArtifactId::new("s-1")?, vec![Part::text("b")]);
                    let update = ArtifactUpdate { append: true, ..ArtifactUpdate::complete(more) };
                    ctx.step("t", async |step| Ok(step.artifact_update(update).await?)).await?;
                    done()
                })
            }),
        ),
        (
            "cannot write to what was begun outside",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    let artifact = ctx.new_artifact(vec![Part::text("a")]);
                    let mine = artifact.clone();
                    // The other side begins it between the step's output and its end.
                    let gate = tokio::sync::Notify::new();
                    let (step, ()) = tokio::join!(
                        ctx.step("s", async |step| {
                            step.artifact(mine).await?;
                            gate.notified().await;
                            Ok(())
                        }),
                        async {
                            ctx.artifact(artifact).await.expect("it belongs to nobody yet");
                            gate.notify_one();
                        },
                    );
                    step?;
                    done()
                })
            }),
        ),
    ];
    for (refused, executor) in sides {
        let report = TestRun::new(executor).text("go").run().await;
        assert!(failed_fatally(&report, refused), "{refused}: {report:?}");
    }
}

#[tokio::test]
async fn a_step_may_continue_an_artifact_of_an_earlier_attempts_step() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            for page in 1..=2 {
                ctx.step(format!("page {page}"), async |step| read(&step, page).await).await?;
            }
            done()
        })
    });
    let crashed = TestRun::new(executor).text("go").crash_after_write(1).run().await;
    assert_eq!(crashed.artifact_text("pages"), "1 ");
    let report = crashed.after_worker_loss().run().await;
    assert_eq!(
        (report.steps_begun(), report.artifact_text("pages")),
        (vec!["page 2"], "1 2 ".into())
    );
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Invoice {
    number: String,
    total: u64,
}

#[tokio::test]
async fn a_stored_value_of_another_type_is_an_error_with_advice() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let invoice =
                ctx.step("invoice", async |_| Ok(Invoice { number: "7".into(), total: 1 })).await?;
            Ok(ctx.completed(invoice.number))
        })
    });
    let old = serde_json::json!({"number": "6"});
    let report = TestRun::new(executor).text("go").with_checkpoint("invoice", &old).run().await;
    assert!(failed_fatally(&report, "stored for invoice"), "{report:?}");
    let cause = &report.failure().cause;
    assert!(cause.contains("missing field `total`") && cause.contains("new name"), "{cause}");
}

#[tokio::test]
async fn values_that_cannot_be_stored_are_refused_before_any_write() {
    let values: [(&str, FnExecutor); 5] = [
        (
            "at most 1048576",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("s", async |_| Ok("x".repeat(1 << 20))).await?;
                    done()
                })
            }),
        ),
        (
            "U+0000",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("s", async |_| Ok("a\0".to_owned())).await?;
                    done()
                })
            }),
        ),
        (
            "could not read it back",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("s", async |_| Ok(f64::NAN)).await?;
                    done()
                })
            }),
        ),
        (
            "must not be empty",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.step("", async |_| Ok(())).await?;
                    done()
                })
            }),
        ),
        (
            "201 bytes long",
            FnExecutor(|ctx| {
                Box::pin(async move {
                    ctx.checkpoint("n".repeat(201), &()).await?;
                    done()
                })
            }),
        ),
    ];
    for (refused, executor) in values {
        let report = TestRun::new(executor).text("go").run().await;
        assert!(failed_fatally(&report, refused), "{refused}: {report:?}");
        assert!(report.checkpoints().is_empty(), "{refused}");
    }
}

#[tokio::test]
async fn output_of_a_step_is_bounded() {
    let many = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.step("many", async |step| {
                for _ in 0..=StepError::MAX_STEP_ENTRIES {
                    step.status_update(None, None).await?;
                }
                Ok(())
            })
            .await?;
            done()
        })
    });
    let large = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.step("large", async |step| {
                let part = Part::raw(vec![0; StepError::MAX_STEP_BYTES / 2], "application/pdf");
                for _ in 0..3 {
                    step.artifact(step.new_artifact(vec![part.clone()])).await?;
                }
                Ok(())
            })
            .await?;
            done()
        })
    });
    for executor in [many, large] {
        let report = TestRun::new(executor).text("go").run().await;
        assert!(failed_fatally(&report, "emit outside of the step"), "{report:?}");
        assert!(report.entries().iter().all(|entry| entry.body.starts_artifact().is_none()));
    }
}

#[tokio::test]
async fn a_stopped_run_ends_its_step_and_the_steps_context() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            let kept = ctx.step("kept", async |_| Ok(())).await;
            kept?;
            let mut leaked = None;
            ctx.step("leaky", async |step| {
                leaked = Some(step);
                Ok(())
            })
            .await?;
            let late = leaked.expect("it was handed out").status("late").await;
            assert!(matches!(late, Err(ContextError::Step(StepError::Ended { .. }))), "{late:?}");
            ctx.status("one").await?;
            ctx.step("stopped", async |step| Ok(step.status("two").await?)).await?;
            done()
        })
    });
    let report =
        TestRun::new(executor).text("go").stop_after_events(1, OutputStopped::Draining).run().await;
    assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Draining));
    assert_eq!(report.checkpoints(), ["kept", "leaky"]);
}
