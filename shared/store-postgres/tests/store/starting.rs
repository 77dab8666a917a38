//! Permanent errors at start: they fail at once, with a sentence that says what to do.

use crate::test_store::LIMIT;
use longhaul_runtime::SystemIds;
use longhaul_store::StoreError;
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::{Database, Postgres};
use std::{path::Path, process::Command, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Start timeout that exceeds any test.
const PATIENT: Duration = Duration::from_secs(86_400);

/// Returns the errors of a migration and of a store at this address.
async fn refusals(url: &str) -> [String; 2] {
    let options = PostgresOptions { start_timeout: PATIENT, ..PostgresOptions::new(url) };
    let migrated = timeout(LIMIT, PostgresStore::migrate(url.to_owned(), PATIENT)).await;
    let opened = timeout(LIMIT, PostgresStore::connect(options, Arc::new(SystemIds))).await;
    let sentence = |outcome: Result<(), StoreError>| match outcome {
        Err(StoreError::Unavailable(cause) | StoreError::Schema(cause)) => cause,
        other => panic!("{other:?}"),
    };
    [
        sentence(migrated.expect("migrate does not wait").map(drop)),
        sentence(opened.expect("the store does not wait").map(drop)),
    ]
}

async fn assert_refused(url: &str, says: &str) {
    for sentence in refusals(url).await {
        assert!(sentence.contains(says), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}

#[tokio::test]
async fn a_wrong_role_password_or_database_fails_at_once() {
    let server = Postgres::private_with(&[("password_encryption", "scram-sha-256")]);
    let database = Database::create_on(&server);
    let url = database.url();
    assert_refused(&url.replace("postgres@", "nobody-known@"), "refuses the login").await;
    assert_refused(&url.replace(database.name(), "no_such"), "create the database").await;
    server.sql("create role guest login password 'right'");
    server.require_passwords();
    assert_refused(&url.replace("postgres@", "guest:hunter2@"), "check user and password").await;
}

#[tokio::test]
async fn a_role_without_privileges_fails_at_once() {
    let database = Database::create();
    let role = format!("{}_guest", database.name());
    database.sql(&format!("create role {role} login; revoke all on schema public from public"));
    let url = database.url().replace("postgres@", &format!("{role}@"));
    // The role may not use `public`, so there is no schema for tables.
    assert_refused(&url, "names no schema").await;
    database.sql("grant usage on schema public to public");
    let migrated = timeout(LIMIT, PostgresStore::migrate(url, PATIENT)).await.unwrap();
    match migrated {
        Err(StoreError::Unavailable(cause)) => assert!(cause.contains("lacks a right"), "{cause}"),
        other => panic!("{other:?}"),
    }
    database.sql(&format!("drop owned by {role}; drop role {role}"));
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let database =
        Database::create_with("encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'");
    assert_refused(&database.url(), "encoding LATIN1").await;
}

#[tokio::test]
async fn a_search_path_that_names_no_schema_is_refused_by_name() {
    let database = Database::create();
    let url = format!("{}?options=-csearch_path%3Dno_such_schema", database.url());
    assert_refused(&url, "search_path (no_such_schema)").await;
}

#[tokio::test]
async fn an_address_with_no_server_that_can_be_written_to_is_refused() {
    assert_refused("postgres://u:hunter2@127.0.0.1/d?target_session_attrs=standby", "read-write")
        .await;
}

/// Creates a key and a self-signed certificate for `localhost`, of a server or of an authority.
fn self_signed(folder: &Path, authority: &str) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (key, certificate, config) = (path("key.pem"), path("certificate.pem"), path("config"));
    let text = format!(
        "[req]\ndistinguished_name = name\nx509_extensions = v3\n[name]\n\
         [v3]\nsubjectAltName = DNS:localhost\nbasicConstraints = critical,CA:{authority}\n"
    );
    std::fs::write(&config, text).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &config])
        .args(["-subj", "/CN=localhost", "-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (key, certificate)
}

#[tokio::test]
async fn an_unknown_certificate_authority_fails_at_once_and_a_named_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = self_signed(folder.path(), "FALSE");
    let server = Postgres::private_with_tls(Path::new(&key), Path::new(&certificate));
    let database = Database::create_on(&server);
    let url = database.url().replace("127.0.0.1", "localhost");
    assert_refused(&format!("{url}?sslmode=verify-full"), "sslrootcert=FILE").await;
    let trusted = format!("{url}?sslmode=verify-full&sslrootcert={certificate}");
    PostgresStore::migrate(trusted.clone(), LIMIT).await.unwrap();
    let elsewhere = trusted.replace("localhost", "127.0.0.1");
    assert_refused(&elsewhere, "host name from the certificate").await;
    let plain = Postgres::private();
    let url = Database::create_on(&plain).url();
    assert_refused(&format!("{url}?sslmode=require"), "offers no TLS").await;
}

#[tokio::test]
async fn a_server_that_presents_a_ca_certificate_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = self_signed(folder.path(), "TRUE");
    let server = Postgres::private_with_tls(Path::new(&key), Path::new(&certificate));
    let url = Database::create_on(&server).url().replace("127.0.0.1", "localhost");
    let url = format!("{url}?sslmode=verify-full&sslrootcert={certificate}");
    assert_refused(&url, "CA:FALSE").await;
}
