//! A fresh Postgres database for each test.
//!
//! Guarantee: a [`Database`] is empty, private to its test, and dropped with its value. If the test
//! process is killed, the database stays until its server is removed at the end of the run.

use crate::postgres::{Postgres, shared_url};
use crate::psql::psql;
use crate::unique;

/// A database of one test, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server_url: String,
    name: String,
}

impl Database {
    /// A fresh, empty database on the shared server.
    pub fn create() -> Self {
        Self::create_at(shared_url())
    }

    /// A fresh, empty database on a private server.
    pub fn create_on(server: &Postgres) -> Self {
        Self::create_at(&server.url())
    }

    /// Points this database at the server that has replaced its former one.
    pub fn move_to(&mut self, server: &Postgres) {
        self.server_url = server.url();
    }

    /// A fresh database on the shared server with options of `create database`, such as `encoding
    /// 'LATIN1'`.
    pub fn create_with(options: &str) -> Self {
        Self::create_as(shared_url(), options)
    }

    fn create_at(server_url: &str) -> Self {
        Self::create_as(server_url, "")
    }

    fn create_as(server_url: &str, options: &str) -> Self {
        let name = unique::name("test");
        psql(server_url, &format!("create database {name} {options}"))
            .unwrap_or_else(|error| panic!("no database: {error}"));
        Self { server_url: server_url.to_owned(), name }
    }

    /// The address of this database, as superuser.
    pub fn url(&self) -> String {
        let (server, _) =
            self.server_url.rsplit_once('/').expect("the server's address names a database");
        format!("{server}/{}", self.name)
    }

    /// The address of this database through a proxy at `127.0.0.1:PORT`.
    pub fn url_through(&self, proxy: &str) -> String {
        let url = self.url();
        let (user, rest) = url.split_once('@').expect("the address names a user");
        let (_, name) = rest.split_once('/').expect("the address names a database");
        format!("{user}@{proxy}/{name}")
    }

    /// Runs SQL on the server's maintenance database, which stays usable whatever happens to this
    /// one.
    pub fn server_sql(&self, sql: &str) -> String {
        psql(&self.server_url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// `127.0.0.1:PORT` of its server.
    pub fn server_address(&self) -> &str {
        let (_, place) = self.server_url.split_once('@').expect("the address names a user");
        place.split('/').next().unwrap_or_default()
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL on a new connection and returns its rows, one a line, columns separated by `|`,
    /// without headings.
    ///
    /// Panics with the database's message on an error.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// [`Database::sql`] that returns the database's message on an error, also when it is
    /// unreachable.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        psql(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A private server may already be down; its folder takes the database along.
        let _ =
            psql(&self.server_url, &format!("drop database if exists {} with (force)", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::Database;

    #[test]
    fn a_test_gets_an_empty_database_of_its_own() {
        let (one, two) = (Database::create(), Database::create());
        one.sql("create table t (n int); insert into t values (1), (2)");
        assert_eq!(one.sql("select n from t order by n"), "1\n2");
        let error = two.try_sql("select n from t").expect_err("the other database is empty");
        assert!(error.contains("does not exist"), "{error}");
    }

    #[test]
    fn a_database_is_dropped_with_its_value_even_with_open_connections() {
        let watcher = Database::create();
        let database = Database::create();
        let count =
            format!("select count(*) from pg_database where datname = '{}'", database.name());
        assert_eq!(watcher.sql(&count), "1");
        drop(database);
        assert_eq!(watcher.sql(&count), "0");
    }
}
