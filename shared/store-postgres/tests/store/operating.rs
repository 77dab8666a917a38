//! Redrives and schedules take effect once, however many callers try.

use crate::test_store::{
    LIMIT, REAP_REQUEST, TestStore, append, echo_agent, new_task_request, open, status,
};
use futures::future::join_all;
use longhaul_domain::{OwnerId, Seq, TaskId, TaskState, TerminalState, Timestamp};
use longhaul_store::{
    DeadLetterQuery, FireOutcome, FireSchedule, MissedRuns, OperatorStore, Redrive, RedriveOutcome,
    Schedule, SchedulePlan, ScheduleStore, Settle, SettleAs, Store, WorkerStore,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_redrives_create_one_task() {
    let test = TestStore::new().await;
    let dead = test.accept_task().await;
    let run = test.claim_one().await;
    let entries = vec![status(TaskState::Working), status(TaskState::Failed)];
    let how = SettleAs::End(TerminalState::Failed);
    let failed = Settle { how, read_up_to: Seq(1), output: append(&run, 1, entries) };
    test.store.settle(failed).await.unwrap();
    let other = open(&test.database).await;
    let redrives = (0..8).map(|n| {
        let store = if n % 2 == 0 { &test.store } else { &other };
        async move { store.redrive(Redrive { dead, new: new_task_request() }).await.unwrap() }
    });
    let outcomes = join_all(redrives).await;
    let made = |outcome: &RedriveOutcome| match outcome {
        RedriveOutcome::Now { task } | RedriveOutcome::Already { task } => *task,
        RedriveOutcome::NotDead => panic!("it is dead"),
    };
    let tasks: std::collections::BTreeSet<TaskId> = outcomes.iter().map(made).collect();
    assert_eq!(tasks.len(), 1, "{outcomes:?}");
    let now = outcomes.iter().filter(|outcome| matches!(outcome, RedriveOutcome::Now { .. }));
    assert_eq!(now.count(), 1, "{outcomes:?}");
    assert_eq!(test.database.sql("select count(*) from tasks"), "2");
    let open_ones = DeadLetterQuery {
        owner: None,
        agent: None,
        because: None,
        from: None,
        before: None,
        cause_contains: None,
        handled: false,
        after: None,
        limit: 10,
    };
    assert!(test.store.list_dead_letters(open_ones).await.unwrap().is_empty());
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fired_by_several_nodes_fires_once() {
    let test = TestStore::new().await;
    let message = new_task_request().accept.message.message;
    let plan = SchedulePlan {
        cron: "* * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        missed: MissedRuns::Once,
        message,
        context: None,
    };
    let at = Timestamp::UNIX_EPOCH;
    let schedule = Schedule {
        owner: OwnerId::LOCAL,
        name: "nightly".to_owned(),
        agent: echo_agent(),
        plan,
        next_at: Some(at),
        paused: false,
        last: None,
        revision: 0,
    };
    assert!(test.store.put_schedule(schedule.clone()).await.unwrap());
    assert!(!test.store.put_schedule(schedule).await.unwrap());
    let stores = [open(&test.database).await, open(&test.database).await];
    let fires = (0..8).map(|n| {
        let store = &stores[n % 2];
        async move {
            let due = store.due_schedules(10).await.unwrap().due.pop();
            let Some(due) = due else { return FireOutcome::Outdated };
            let (owner, name, revision) = (due.owner, due.name, due.revision);
            let task = Some((at, new_task_request()));
            store.fire(FireSchedule { owner, name, revision, next_at: None, task }).await.unwrap()
        }
    });
    let outcomes = join_all(fires).await;
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, FireOutcome::Now(Some(_))));
    assert_eq!(winners.count(), 1, "{outcomes:?}");
    assert_eq!(test.database.sql("select count(*) from tasks"), "1");
    let after = test.store.schedule(OwnerId::LOCAL, "nightly").await.unwrap().unwrap();
    assert_eq!((after.next_at, after.revision), (None, 3));
    assert_eq!(after.last.map(|last| last.0), Some(at));
    for store in &stores {
        store.close().await;
    }
    tokio::time::timeout(LIMIT, test.store.reap(REAP_REQUEST)).await.unwrap().unwrap();
}
