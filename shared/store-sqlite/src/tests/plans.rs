//! How statements find their rows: by an index, however large the tables are.

use crate::schema;
use rusqlite::Connection;

/// Tables that may be read whole, because they hold a few rows (`k` and `o`: keys and owners).
const SMALL: [&str; 8] =
    ["workers", "agents", "api_keys", "k", "o", "owners", "schema_migrations", "sqlite_schema"];

/// The table that a step of a plan reads whole.
fn read_whole(step: &str) -> Option<&str> {
    step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next())
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Parameters stay unbound: the plan does not depend on them.
    let rows = statement.raw_query().mapped(|row| row.get::<_, String>("detail"));
    rows.map(Result::unwrap).collect()
}

fn migrated() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    schema::migrate(&conn, 0).unwrap();
    conn
}

#[test]
fn no_statement_reads_a_large_table_whole() {
    let conn = migrated();
    for (name, sql) in schema::every_statement() {
        let plan = plan(&conn, sql);
        let large = plan.iter().filter_map(|step| read_whole(step)).find(|t| !SMALL.contains(t));
        assert_eq!(large, None, "{name}: {plan:?}\n{sql}");
        let all_of_owner = plan.iter().any(|step| step.ends_with("(owner_id=?)"));
        assert!(!all_of_owner, "{name}: {plan:?}\n{sql}");
    }
}

#[test]
fn pages_claims_and_messages_come_in_the_order_of_their_index() {
    let conn = migrated();
    for (name, sql) in schema::every_statement() {
        // The tasks of one context are few enough to be sorted.
        if sql.contains("ORDER BY") && !sql.contains("t.context_id = :context") {
            let plan = plan(&conn, sql);
            let small = plan.iter().any(|step| read_whole(step).is_some());
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(small || !sorts, "{name}: {plan:?}\n{sql}");
        }
    }
}
