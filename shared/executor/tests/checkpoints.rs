//! Promises of checkpoints to an executor.

mod support;

use longhaul_executor::{
    prelude::*,
    testkit::{TestRun, crash_everywhere},
};
use support::{FnExecutor, done, failed_fatally};

/// Works through ten lines, from where it was.
const CURSOR: FnExecutor = FnExecutor(|ctx| {
    Box::pin(async move {
        let from: u32 = ctx.load_checkpoint("line").await?.unwrap_or(0);
        for line in from..10 {
            ctx.status(format!("line {line}")).await?;
            ctx.checkpoint("line", &(line + 1)).await?;
            assert_eq!(ctx.load_checkpoint("line").await?, Some(line + 1));
        }
        Ok(ctx.completed(format!("{} lines", 10)))
    })
});

#[tokio::test]
async fn the_next_attempt_starts_from_the_last_checkpoint() {
    let crashed = TestRun::new(CURSOR).text("go").crash_before_write(8).run().await;
    // Each line takes a status and a checkpoint.
    assert_eq!(crashed.checkpoint("line"), Some(3));
    let report = crashed.after_worker_loss().run().await;
    assert_eq!(report.status_texts().first().map(String::as_str), Some("line 3"));
    crash_everywhere(async || TestRun::new(CURSOR).text("go")).await;
}

#[tokio::test]
async fn output_before_a_checkpoint_is_durable_with_it() {
    let report = TestRun::new(CURSOR).text("go").crash_after_write(2).run().await;
    assert_eq!(
        (report.status_texts().join(","), report.checkpoint("line")),
        ("line 0".into(), Some(1))
    );
}

#[tokio::test]
async fn a_checkpoint_of_another_type_is_a_final_error_and_a_missing_one_is_none() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            assert_eq!(ctx.load_checkpoint::<String>("other").await?, None);
            ctx.load_checkpoint::<String>("line").await?;
            done()
        })
    });
    let report = TestRun::new(executor).text("go").with_checkpoint("line", &7).run().await;
    assert!(failed_fatally(&report, "stored for line"), "{report:?}");
}

#[tokio::test]
async fn the_value_of_a_step_can_be_read_like_a_checkpoint() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.step("s", async |_| Ok(5)).await?;
            let value: Option<Json> = ctx.load_checkpoint("s").await?;
            Ok(ctx.completed(value.expect("it is done").as_str()))
        })
    });
    assert_eq!(TestRun::new(executor).text("go").run().await.status_text(), "5");
}

#[tokio::test]
async fn a_heartbeat_counts_in_a_step_too() {
    let executor = FnExecutor(|ctx| {
        Box::pin(async move {
            ctx.heartbeat();
            ctx.step("s", async |step| {
                step.heartbeat();
                Ok(())
            })
            .await?;
            done()
        })
    });
    assert_eq!(TestRun::new(executor).text("go").run().await.heartbeats(), 2);
}
