//! Cost and completeness of reads: short reads scan nothing long, and lists find every match at a
//! bounded cost.

use crate::{
    statements::{migrated, pages},
    test_store::TestStore,
};
use longhaul_domain::{AgentName, OwnerId, Task, TaskId, TaskState};
use longhaul_store::{ListQuery, ReadStore, SnapshotOptions};
use longhaul_tests::Database;
use std::collections::HashSet;

/// 10,000 tasks of one entry and one of 20,000.
const ONE_IS_LONG: &str = "
insert into tasks select 1, gen_random_uuid(), 'echo', 'c', 0, now() from generate_series(1, 10000) n;
insert into tasks values (1, '00000000-0000-0000-0000-000000000001', 'echo', 'long', 0, now());
insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch, last_op)
    select 1, task_id, case context_id when 'long' then 6 else 3 end, now(),
        case context_id when 'long' then 20000 else 1 end, case context_id when 'long' then 20000 else 1 end,
        1, 1, 1, 1, 1
    from tasks;
insert into log (owner_id, task_id, seq, at, attempt, kind, speaks, body)
    select s.owner_id, s.task_id, seq, now(), 1, 3, false, '{}' from task_state s, generate_series(1, s.last_seq) seq;";

fn fill(database: &Database, rows: &str) {
    database.sql(rows);
    database.sql("vacuum (analyze) tasks, task_state, log");
}

const LONG: &str = "1, '00000000-0000-0000-0000-000000000001'";

/// Arguments of a first page, with a state and an agent.
fn first_page(state: &str, agent: &str) -> String {
    format!(
        "1, '1970-01-01', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', {state}, {agent}, 51"
    )
}

fn assert_by_whole_key(plan: &str) {
    let lines: Vec<&str> = plan.lines().collect();
    let scans: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].contains("using log_pkey")).collect();
    assert!(!scans.is_empty(), "{plan}");
    for at in scans {
        assert!(lines[at + 1].contains("Index Cond") && lines[at + 1].contains("seq = "), "{plan}");
    }
}

#[tokio::test]
async fn a_status_costs_the_same_on_a_long_task() {
    let database = migrated().await;
    fill(&database, ONE_IS_LONG);
    let (hits, plan) = pages(&database, "read_task", LONG);
    assert!(hits < 30, "{hits}\n{plan}");
    assert_by_whole_key(&plan);
    let first = first_page("null", "null");
    for (name, arguments) in [
        ("list_tasks", format!("{first}, 10000")),
        ("list_rare_state", format!("{}, 10000", first_page("6::int2", "null"))),
        ("list_live", first_page("1::int2", "null")),
        ("list_context", format!("{first}, 'long'")),
    ] {
        assert_by_whole_key(&pages(&database, name, &arguments).1);
    }
}

#[tokio::test]
async fn the_chunks_of_a_task_are_not_sorted_again() {
    let database = migrated().await;
    fill(&database, ONE_IS_LONG);
    let one = "array[1], array['00000000-0000-0000-0000-000000000001'::uuid], array[1::int8], array[20000::int8]";
    let (_, plan) = pages(&database, "artifact_chunks", one);
    assert!(plan.contains("rows=20000") && !plan.contains("Sort"), "{plan}");
}

/// 25,000 tasks of owner 1 within three minutes, newest first: every thousandth rejected, every
/// thousandth of the agent `rare`, the others completed by `echo`.
const FEW_OF_MANY: &str = "
create temporary table new_task as
    select gen_random_uuid() as task_id, n, timestamptz '2026-01-01' - n / 3 * interval '21 milliseconds' as at
    from generate_series(1, 25000) n;
insert into tasks select 1, task_id, case when n % 1000 = 1 then 'rare' else 'echo' end, 'c' || n % 5, 0, at from new_task;
insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch, last_op)
    select 1, task_id, case when n % 1000 = 0 then 7 else 3 end, at, 1, 1, 1, 1, 1, 1, 1 from new_task;";

#[tokio::test]
async fn a_filter_that_few_tasks_match_has_a_bounded_cost() {
    let database = migrated().await;
    fill(&database, FEW_OF_MANY);
    for (name, arguments, most) in [
        ("list_rare_state", format!("{}, 10000", first_page("7::int2", "null")), 300),
        ("list_live", first_page("2::int2", "null"), 20),
        ("list_tasks", format!("{}, 1000", first_page("null", "'rare'")), 6_000),
        ("count_rare_state", "1, '1970-01-01', 7::int2, null, 10001, 50000".to_owned(), 20),
        ("count_agent", "1, 'rare', 10001, 1000".to_owned(), 1_100),
        ("count_tasks", "1, '1970-01-01', 3::int2, 'rare', 10001, 1000".to_owned(), 6_000),
        ("count_all", "1, '1970-01-01', 10001".to_owned(), 100),
        ("count_context_tasks", "1, 'c1', 10001".to_owned(), 100),
    ] {
        let (hits, plan) = pages(&database, name, &arguments);
        assert!(hits < most, "{name}: {hits}\n{plan}");
    }
}

#[tokio::test]
async fn totals_without_a_filter_are_counted_in_the_index_alone() {
    let database = migrated().await;
    fill(&database, FEW_OF_MANY);
    let arguments = "1, '2025-12-31 23:59', 10001";
    let (_, plan) = pages(&database, "count_all", arguments);
    assert!(plan.contains("Index Only Scan using task_state_newest"), "{plan}");
    let (_, plan) = pages(&database, "count_context_tasks", "1, 'c1', 10001");
    assert!(plan.contains("Index Only Scan using tasks_conversation"), "{plan}");
}

fn asked(page_size: u32) -> ListQuery {
    ListQuery {
        owner: OwnerId(1),
        agent: None,
        context: None,
        state: None,
        status_from: None,
        after: None,
        page_size,
        options: SnapshotOptions::STATUS,
    }
}

/// Reads a list page by page; returns its tasks, the first page's total and the number of pages.
async fn all(test: &TestStore, asked: &ListQuery) -> (Vec<Task>, u64, usize) {
    let (mut after, mut tasks, mut count) = (None, Vec::new(), 0);
    loop {
        let page = test.store.list_tasks(ListQuery { after, ..asked.clone() }).await.unwrap();
        tasks.extend(page.tasks);
        count += 1;
        after = page.next;
        assert!(count < 200, "it goes on for ever");
        if after.is_none() {
            return (tasks, page.total, count);
        }
    }
}

fn in_order_and_once(tasks: &[Task]) {
    let place = |task: &Task| (task.status.at, task.key.task);
    assert!(tasks.windows(2).all(|pair| place(&pair[0]) > place(&pair[1])));
}

fn ids(database: &Database, condition: &str) -> HashSet<String> {
    let statement = format!(
        "select s.task_id from task_state s join tasks t using (owner_id, task_id) where {condition}"
    );
    database.sql(&statement).lines().map(str::to_owned).collect()
}

fn found(tasks: &[Task]) -> HashSet<String> {
    tasks.iter().map(|task| task.key.task.to_string()).collect()
}

#[tokio::test]
async fn a_list_of_few_among_many_is_complete_although_pages_are_short() {
    let test = TestStore::new().await;
    fill(&test.database, FEW_OF_MANY);
    let rare = Some(AgentName::new("rare").unwrap());
    let from = "2025-12-31 23:58:30";
    let lists = [
        (ListQuery { agent: rare.clone(), ..asked(7) }, "agent = 'rare'".to_owned()),
        (ListQuery { agent: rare.clone(), ..asked(100) }, "agent = 'rare'".to_owned()),
        (ListQuery { state: Some(TaskState::Rejected), ..asked(4) }, "state = 7".to_owned()),
        (
            ListQuery {
                agent: rare.clone(),
                state: Some(TaskState::Completed),
                status_from: Some("2025-12-31T23:58:30Z".parse().unwrap()),
                ..asked(100)
            },
            format!("agent = 'rare' and status_at >= '{from}+00'"),
        ),
        (
            ListQuery { agent: rare, state: Some(TaskState::Rejected), ..asked(5) },
            "false".to_owned(),
        ),
        (ListQuery { state: Some(TaskState::Working), ..asked(5) }, "false".to_owned()),
    ];
    for (asked, condition) in lists {
        let expected = ids(&test.database, &condition);
        let (tasks, total, pages) = all(&test, &asked).await;
        in_order_and_once(&tasks);
        assert_eq!(found(&tasks), expected, "{condition}");
        assert_eq!(total, expected.len() as u64, "{condition}");
        assert!(pages <= 10, "{pages} pages: {condition}");
    }
}

#[tokio::test]
async fn a_second_with_more_tasks_than_a_walk_is_read_completely() {
    let test = TestStore::new().await;
    fill(&test.database, &FEW_OF_MANY.replace("n / 3 *", "n / 12500 *"));
    let rare = ListQuery { agent: Some(AgentName::new("rare").unwrap()), ..asked(10) };
    let (tasks, total, _) = all(&test, &rare).await;
    in_order_and_once(&tasks);
    assert_eq!((tasks.len(), total), (25, 25));
}

#[tokio::test]
async fn the_total_is_exact_up_to_ten_thousand_and_an_estimate_above() {
    let test = TestStore::new().await;
    fill(&test.database, FEW_OF_MANY);
    let total = async |query: ListQuery| test.store.list_tasks(query).await.unwrap().total;
    let from = |time: &str| ListQuery { status_from: Some(time.parse().unwrap()), ..asked(1) };
    assert!((20_000..30_000).contains(&total(asked(1)).await));
    // Three tasks per 21 ms, after the first two.
    assert_eq!(total(from("2026-01-01T00:00:00Z")).await, 2);
    assert_eq!(total(from("2025-12-31T23:59:59.979Z")).await, 5);
    assert_eq!(total(from("2025-12-31T23:59:59.978Z")).await, 5);
    assert_eq!(total(from("2025-12-31T23:59:00Z")).await, 2 + 3 * (60_000 / 21));
}

#[tokio::test]
async fn queued_and_running_tasks_are_listed_by_state() {
    let test = TestStore::new().await;
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(test.accept_task().await.task);
    }
    let run = test.claim_one().await.key.task;
    test.database.sql(&format!("update task_state set state = 2 where task_id = '{run}'"));
    let of = async |state| {
        let (tasks, total, _) = all(&test, &ListQuery { state: Some(state), ..asked(1) }).await;
        in_order_and_once(&tasks);
        assert_eq!(total, tasks.len() as u64);
        tasks.iter().map(|task| task.key.task).collect::<HashSet<TaskId>>()
    };
    assert_eq!(of(TaskState::Working).await, HashSet::from([run]));
    accepted.retain(|task| *task != run);
    assert_eq!(of(TaskState::Submitted).await, accepted.into_iter().collect());
}

#[tokio::test]
async fn a_task_that_completes_touches_no_index_of_states() {
    let database = migrated().await;
    let moves = "begin;
        insert into task_state (owner_id, task_id, state, status_at, status_seq, last_seq, message_seq, turn, epoch,
            op_epoch, last_op)
        values (1, gen_random_uuid(), 1, '2026-01-01 00:00:00.1', 1, 1, 1, 1, 1, 1, 1);
        update task_state set state = 2, status_at = '2026-01-01 00:00:00.2';
        update task_state set state = 3, status_at = '2026-01-01 00:00:00.3';
        select 'updated', pg_stat_get_xact_tuples_updated('task_state'::regclass),
            pg_stat_get_xact_tuples_hot_updated('task_state'::regclass);
        commit;";
    assert!(database.sql(moves).contains("updated|2|2"));
}

#[tokio::test]
async fn a_list_skips_an_unreadable_task_and_shows_the_others() {
    let test = TestStore::new().await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(test.accept_task().await);
    }
    let (gone, garbled) = (keys[1].task, keys[3].task);
    test.database.sql(&format!("delete from tasks where task_id = '{gone}'"));
    test.database.sql(&format!("update log set body = '[]' where task_id = '{garbled}'"));
    let query = |state| ListQuery {
        owner: OwnerId::LOCAL,
        agent: None,
        context: None,
        state,
        status_from: None,
        after: None,
        page_size: 2,
        options: SnapshotOptions::ALL,
    };
    for state in [None, Some(TaskState::Submitted)] {
        let (mut listed, mut asked) = (HashSet::new(), query(state));
        loop {
            let page = test.store.list_tasks(asked).await.unwrap();
            listed.extend(page.tasks.iter().map(|task| task.key.task));
            let Some(next) = page.next else { break };
            asked = ListQuery { after: Some(next), ..query(state) };
        }
        let expected = [0, 2, 4].map(|place: usize| keys[place].task);
        assert_eq!(listed, HashSet::from(expected), "{state:?}");
    }
}
