//! A claim costs the same however long the queues are.

use crate::{
    schema,
    write::{claim, turns},
};
use rusqlite::{Connection, StatementStatus};

/// A queue of the first owner of so many runs, and one run of the second.
fn queued(runs: i64) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    schema::migrate(&conn, 0).unwrap();
    let fill = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses)
        SELECT 1, printf('00000000-0000-0000-0000-%012d', n), 'echo', n % 7, n, 1, 0, 0, 0 FROM n
        UNION ALL SELECT 2, '00000000-0000-0000-0000-000000000000', 'echo', 0, 1, 1, 0, 0, 0";
    conn.execute(fill, (runs,)).unwrap();
    conn
}

/// The steps that the database makes to find the next owner behind one, and the first run of an owner.
fn steps(conn: &Connection, after: i32) -> (i32, i32) {
    let mut owner = conn.prepare(turns::NEXT_OWNER).unwrap();
    let next: i32 = owner.query_row(("echo", after), |row| row.get(0)).unwrap();
    assert_eq!(next, after + 1);
    let mut first = conn.prepare(claim::FIRST).unwrap();
    let params = ("echo", next, i64::MAX, None::<String>);
    first.query_row(params, |row| row.get::<_, String>("task")).unwrap();
    (owner.get_status(StatementStatus::VmStep), first.get_status(StatementStatus::VmStep))
}

#[test]
fn a_claim_costs_the_same_behind_a_long_queue() {
    let (short, long) = (queued(10), queued(50_000));
    for after in [0, 1] {
        assert_eq!(steps(&short, after), steps(&long, after));
    }
}
