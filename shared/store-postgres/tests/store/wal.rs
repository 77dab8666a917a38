//! Cost of an event: bytes of write-ahead log per artifact chunk, equal on long and short tasks.

use crate::test_store::{TestStore, append, chunk};
use longhaul_domain::Seq;
use longhaul_store::{Appended, Store, WorkerStore};
use longhaul_tests::eventually;
use std::time::Duration;

/// Chunks per append.
const TOGETHER: usize = 20;

fn position(test: &TestStore) -> u64 {
    test.database.sql("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").parse().unwrap()
}

#[tokio::test]
async fn a_chunk_costs_the_same_on_a_long_task() {
    let test = TestStore::private(&[
        ("full_page_writes", "off"),
        ("autovacuum", "off"),
        ("checkpoint_timeout", "1h"),
    ])
    .await;
    let task = test.accept_task().await;
    let run = test.claim_one().await;
    assert_eq!(run.key, task);
    let (mut chunks, mut op) = (0, 0);
    let mut costs = Vec::new();
    for length in [100, 1_000, 10_000] {
        while chunks < length - 100 {
            chunks += 100;
            op += 1;
            let entries = (0..100).map(|n| chunk("a", chunks > 100 || n > 0)).collect();
            test.store.append(append(&run, op, entries)).await.unwrap();
        }
        let before = position(&test);
        for _ in 0..100 / TOGETHER {
            op += 1;
            let entries = (0..TOGETHER).map(|n| chunk("a", chunks > 0 || n > 0)).collect();
            let appended = test.store.append(append(&run, op, entries)).await.unwrap();
            chunks += TOGETHER;
            let last = i64::try_from(chunks).unwrap() + 1;
            assert_eq!(appended, Appended::Now { last: Seq(last) });
        }
        let cost = (position(&test) - before) / 100;
        println!("{chunks:>6} chunks: {cost} bytes of WAL per chunk");
        costs.push(cost);
    }
    let (least, most) = (costs.iter().min().unwrap(), costs.iter().max().unwrap());
    assert!(*most < least * 2, "{costs:?}");
}

#[tokio::test]
async fn a_chunk_moves_no_index_entry_of_the_state() {
    let test = TestStore::new().await;
    test.accept_task().await;
    let run = test.claim_one().await;
    for op in 1..=50 {
        let entries = vec![chunk("a", op > 1)];
        test.store.append(append(&run, op, entries)).await.unwrap();
    }
    // A session reports its statistics when it ends.
    test.store.close().await;
    eventually(Duration::from_secs(20), "the updates are counted", async || {
        let counted = test.database.sql(
            "select n_tup_upd || ' ' || n_tup_hot_upd from pg_stat_user_tables where relname = 'task_state'",
        );
        if counted == "50 50" { Ok(()) } else { Err(counted) }
    })
    .await;
}
