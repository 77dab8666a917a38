//! The statements in docs/sql-history.md run here, except those marked for Postgres.

use rusqlite::Connection;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql-history.md");

/// Returns the SQL of the page, each statement with the last line of text before it.
fn statements(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```sql" {
            let sql: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((before.to_owned(), sql.join("\n")));
        } else if !line.is_empty() {
            before = line;
        }
    }
    found
}

#[tokio::test]
async fn documented_statements_run_on_sqlite() {
    let (_store, folder) = crate::testing::temp_store().await.unwrap();
    let database = Connection::open(folder.path().join("longhaul.db")).unwrap();
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let statements = statements(&page);
    let ours = statements
        .iter()
        .filter(|(before, sql)| !before.contains("Postgres") && !sql.contains("create role"));
    let mut run = 0;
    for (before, sql) in ours {
        let done = database.prepare(sql).and_then(|mut sql| sql.query([])?.next().map(drop));
        assert!(done.is_ok(), "{before}\n{sql}\n{done:?}");
        run += 1;
    }
    assert!(run >= 5, "{statements:?}");
}
