//! Statements that nobody waits for any longer.

use crate::scene::{TestStore, append, status};
use longhaul_domain::{Seq, TaskState};
use longhaul_store::{Appended, WorkerStore};

/// Makes the statement that writes at once sleep in the middle, with its locks.
const SLOW: &str = "
create function slow() returns trigger language plpgsql as $$
begin
    if current_query() like '-- store::write_fast%' then perform pg_sleep(60); end if;
    return new;
end $$;
create trigger slow before insert on log for each row execute function slow();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_given_up_lets_go_of_its_locks_at_once() {
    let scene = TestStore::private(&[]).await;
    scene.accepted().await;
    let run = scene.claimed().await;
    scene.database.sql(SLOW);
    let appended = scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await;
    assert_eq!(appended.unwrap(), Appended::Now { last: Seq(2) });
    let log = scene.server.as_ref().unwrap().log();
    assert!(log.contains("connection to client lost"), "{log}");
    assert!(!log.contains("statement timeout"), "it went on for as long as it may: {log}");
}
