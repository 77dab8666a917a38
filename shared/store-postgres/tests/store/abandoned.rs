//! Statements whose caller has stopped waiting.

use crate::test_store::{TestStore, append, status};
use longhaul_domain::{Seq, TaskState};
use longhaul_store::{Appended, WorkerStore};

/// Makes the fast-path statement sleep while it holds its locks.
const SLOW: &str = "
create function slow() returns trigger language plpgsql as $$
begin
    if current_query() like '-- store::write_fast%' then perform pg_sleep(60); end if;
    return new;
end $$;
create trigger slow before insert on log for each row execute function slow();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_write_releases_its_locks_at_once() {
    let test = TestStore::private(&[]).await;
    test.accept_task().await;
    let run = test.claim_one().await;
    test.database.sql(SLOW);
    let appended = test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert_eq!(appended.unwrap(), Appended::Now { last: Seq(2) });
    let log = test.server.as_ref().unwrap().log();
    assert!(log.contains("connection to client lost"), "{log}");
    assert!(!log.contains("statement timeout"), "it went on for as long as it may: {log}");
}
