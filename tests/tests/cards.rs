//! Signed cards: a node's signature verifies with our command and with the official SDKs, also
//! while a key is rotated.
//!
//! The SDKs' side is in `card_signatures.py` and `card_signatures.mjs`. The canonical JSON is
//! tested in the crate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use longhaul_tests::child::ProcessExit;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::TASK_TIMEOUT;
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes, paths};
use serde_json::Value;
use tempfile::TempDir;

on_both_modes!(
    a_card_says_by_which_key_it_is_signed_and_where_the_key_is,
    a_card_verifies_by_the_key_set_of_its_server,
    the_official_sdks_verify_every_card,
    the_document_for_both_versions_is_signed_as_a_whole_too,
    an_extended_card_is_signed_too,
    every_node_signs_a_card_alike,
    without_keys_a_card_is_not_signed,
);

const CARD: &str = "/.well-known/agent-card.json";
const KEY_SET: &str = "/.well-known/jwks.json";

/// Folder of key files and saved cards.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("the temporary folder is writable"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a key and returns its file.
    fn make(&self, name: &str, algorithm: &str) -> String {
        let file = text(&self.path(name)).to_owned();
        card(&["key", "new", "--alg", algorithm, "--out", &file]);
        file
    }

    fn write(&self, name: &str, content: &Value) -> String {
        fs::write(self.path(name), content.to_string()).expect("the folder is writable");
        text(&self.path(name)).to_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

fn start(arguments: &[&str]) -> TestProcess {
    ProcessBuilder::lab(["card"].iter().chain(arguments)).start()
}

/// Runs `longhaul card`, which must succeed.
fn card(arguments: &[&str]) -> String {
    expect_success(&start(arguments))
}

/// Runs `longhaul card`, which must end with this code; returns both outputs.
fn refused(arguments: &[&str], code: i32) -> String {
    let process = start(arguments);
    let exit = process.wait_exit(TASK_TIMEOUT);
    let said = format!("{}{}", process.stdout(), process.stderr());
    assert_eq!(exit, ProcessExit::Code(code), "{arguments:?}: {said}");
    said
}

fn verify(arguments: &[&str]) -> Value {
    let shown = card(&[&["verify", "--json"], arguments].concat());
    serde_json::from_str(&shown).expect("--json prints JSON")
}

/// The id of a key.
fn kid(file: &str) -> String {
    let shown = card(&["key", "show", file]);
    shown.split_whitespace().nth(1).expect("algorithm, name, file").to_owned()
}

fn python(arguments: &[&str]) -> Value {
    let script = paths::workspace().join("tests/python/card_signatures.py");
    last_json_line(paths::python(), &[&[text(&script)], arguments].concat())
}

fn javascript(arguments: &[&str]) -> Value {
    let script = paths::workspace().join("tests/interop/js/card_signatures.mjs");
    let modules = paths::prepared("test-js/1");
    let all = [&[text(&script), text(&modules)], arguments].concat();
    last_json_line(paths::prepared("test-js/node"), &all)
}

/// Runs a program, which must succeed, and parses its last line as JSON.
fn last_json_line(program: PathBuf, arguments: &[&str]) -> Value {
    let launch = ProcessBuilder::program(program, arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = expect_success(&launch.start());
    serde_json::from_str(output.lines().last().unwrap_or_default()).expect("a line of JSON")
}

async fn signed_by(mode: Mode, files: &[&str]) -> Stack {
    let setup = StackBuilder::new(mode).nodes(2).set("server.allowed_hosts", "127.0.0.1");
    setup.set("cards.signing_keys", &files.join(",")).start().await
}

async fn json(stack: &Stack, path: &str) -> Value {
    let answer = stack.client().get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn a_card_says_by_which_key_it_is_signed_and_where_the_key_is(mode: Mode) {
    let keys = Keys::new();
    let (active, next) = (keys.make("active", "ES256"), keys.make("next", "EdDSA"));
    let stack = signed_by(mode, &[&active, &next]).await;
    let set = json(&stack, KEY_SET).await;
    let set = set["keys"].as_array().expect("a key set has keys");
    assert_eq!(set.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), [&kid(&active), &kid(&next)]);
    assert!(set.iter().all(|key| key.get("d").is_none()), "{set:?}");
    let report = verify(&[&stack.base()]);
    assert_eq!(report["signatures"][0]["kid"], kid(&active).as_str());
    let jku = report["signatures"][0]["jku"].as_str().unwrap_or_default();
    assert!(jku.ends_with(KEY_SET), "{jku}");
    let shown = card(&["show", &stack.base(), "--agent", "echo"]);
    assert!(shown.starts_with("echo ") && shown.contains(&kid(&active)), "{shown}");

    let first = stack.client().get(KEY_SET).await;
    assert_eq!(first.header("content-type"), "application/jwk-set+json");
    assert!(first.header("cache-control").contains("max-age"));
    let again = stack.client().header("if-none-match", first.header("etag")).get(KEY_SET).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

async fn a_card_verifies_by_the_key_set_of_its_server(mode: Mode) {
    let keys = Keys::new();
    let key = keys.make("key", "EdDSA");
    let stack = signed_by(mode, &[&key]).await;
    for agent in ["script", "echo", "direct"] {
        assert_eq!(verify(&[&stack.base(), "--agent", agent])["valid"], true);
    }
    let one = json(&stack, CARD).await;
    let mut changed = one.clone();
    let file = keys.write("card.json", &one);
    let by_key = verify(&[&file, "--key", &key]);
    assert_eq!(by_key["valid"], true);
    // In a saved card, the keys are elsewhere as far as the verifier knows.
    let said = refused(&["verify", &file], 1);
    assert!(said.contains("--trust-jku"), "{said}");
    assert_eq!(verify(&[&file, "--trust-jku"])["valid"], true);
    changed["supportedInterfaces"][0]["url"] = "http://127.0.0.1:1/".into();
    let said = refused(&["verify", &keys.write("changed.json", &changed), "--key", &key], 1);
    assert!(said.contains("changed after it was signed"), "{said}");
    let other = keys.make("other", "EdDSA");
    refused(&["verify", &file, "--key", &other], 1);
}

async fn the_document_for_both_versions_is_signed_as_a_whole_too(mode: Mode) {
    let keys = Keys::new();
    let key = keys.make("key", "ES256");
    let stack = signed_by(mode, &[&key]).await;
    let mut document = stack.client().without_header("a2a-version").get(CARD).await.json();
    assert!(document["url"].is_string(), "a client of 0.3 finds its address: {document}");
    let covered = |document: &Value| {
        let report = verify(&[&keys.write("card.json", document), "--key", &key]);
        let signatures = report["signatures"].as_array().expect("a list").clone();
        signatures.into_iter().map(|one| one["covers"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(covered(&document), ["the 1.0 card", "the whole document"]);
    document["url"] = "http://127.0.0.1:1/".into();
    assert_eq!(covered(&document), [Value::from("the 1.0 card"), Value::Null]);
    assert_eq!(verify(&[&stack.base(), "--version", "0.3"])["valid"], true);
}

/// The extended card is sent by another path, in the protocol version of the call.
async fn an_extended_card_is_signed_too(mode: Mode) {
    let keys = Keys::new();
    let key = keys.make("key", "EdDSA");
    let stack = StackBuilder::new(mode)
        .set("server.allowed_hosts", "127.0.0.1")
        .set("cards.signing_keys", &key)
        .set("cards.extended", "always")
        .key("acme", "read")
        .start()
        .await;
    let shown = expect_success(
        &ProcessBuilder::lab(["card", "show", &stack.base(), "--extended", "--json"])
            .env("LONGHAUL_API_KEY", stack.key(0))
            .start(),
    );
    let shown: Value = serde_json::from_str(&shown).expect("--json prints JSON");
    assert_eq!(shown["capabilities"]["extendedAgentCard"], true);
    let by_http = json(&stack, "/extendedAgentCard").await;
    for card in [&shown, &by_http] {
        let report = verify(&[&keys.write("extended.json", card), "--key", &key]);
        assert_eq!(report["signatures"][0]["covers"], "the 1.0 card");
    }
    let old = stack.client().header("a2a-version", "0.3").get("/v1/card").await.json();
    let report = verify(&[&keys.write("old.json", &old), "--key", &key]);
    // Over HTTP+JSON, a client of 0.3 gets the document for clients of both versions.
    let covered = report["signatures"].as_array().expect("a verdict for each signature").iter();
    let covered: Vec<&Value> = covered.map(|verdict| &verdict["covers"]).collect();
    assert_eq!(
        covered,
        ["the 1.0 card", "the 1.0 card without empty fields", "the whole document"]
    );
}

/// A client thus finds a known card on any node, also after a restart.
async fn every_node_signs_a_card_alike(mode: Mode) {
    let keys = Keys::new();
    for algorithm in ["ES256", "EdDSA"] {
        let mut stack = StackBuilder::new(mode)
            .nodes(2)
            .set("server.public_url", "http://agents.test")
            .set("cards.signing_keys", &keys.make(algorithm, algorithm))
            .start()
            .await;
        let first = stack.client_at(0).get(CARD).await;
        assert_eq!(first.json()["signatures"].as_array().map(Vec::is_empty), Some(false));
        assert_eq!(stack.client_at(1).get(CARD).await.header("etag"), first.header("etag"));
        stack.kill_node(0);
        stack.start_node(0).await;
        let tag = first.header("etag");
        let again = stack.client_at(0).header("if-none-match", tag).get(CARD).await;
        assert_eq!(again.status, 304);
    }
}

async fn the_official_sdks_verify_every_card(mode: Mode) {
    let keys = Keys::new();
    for algorithm in ["ES256", "EdDSA"] {
        let key = keys.make(algorithm, algorithm);
        // With authentication, the card has schemes without scopes, which the SDKs leave out when
        // they verify.
        let stack = StackBuilder::new(mode)
            .set("server.allowed_hosts", "127.0.0.1")
            .set("cards.signing_keys", &key)
            .key("acme", "read,write")
            .agent(
                "name = \"umlaut\"\nexecutor = \"echo\"\ndescription = \"Grüße, 日本 \\\"😀\\\"\"",
            )
            .start()
            .await;
        for path in [
            CARD,
            "/agents/echo/.well-known/agent-card.json",
            "/agents/umlaut/.well-known/agent-card.json",
        ] {
            let seen = python(&["verify", &stack.base(), "--path", path]);
            assert_eq!(seen["kid"], kid(&key).as_str(), "{path}");
            let seen = javascript(&["verify", &format!("{}{path}", stack.base())]);
            assert_eq!(seen["kid"], kid(&key).as_str(), "{path}");
        }
    }
}

async fn without_keys_a_card_is_not_signed(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    assert_eq!(json(&stack, CARD).await.get("signatures"), None);
    let answer = stack.client().get(KEY_SET).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("cards.signing_keys"), "{}", answer.text());
    let said = refused(&["verify", &stack.base()], 1);
    assert!(said.contains("not signed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_and_no_card_that_is_still_cached_fails() {
    let keys = Keys::new();
    let (old, new) = (keys.make("old", "ES256"), keys.make("new", "ES256"));
    let before = StackBuilder::new(Mode::Embedded)
        .set("server.public_url", "http://agents.test")
        .set("cards.signing_keys", &format!("{old},{new}"))
        .start()
        .await;
    let cached = keys.write("cached.json", &json(&before, CARD).await);
    let cached_set = keys.write("cached-set.json", &json(&before, KEY_SET).await);
    drop(before);
    let retired = keys.path("old.pub");
    fs::write(&retired, card(&["key", "show", "--pem", &old])).expect("the folder is writable");
    let after = StackBuilder::new(Mode::Embedded)
        .set("server.public_url", "http://agents.test")
        .set("cards.signing_keys", &new)
        .set("cards.published_keys", text(&retired))
        .start()
        .await;
    let fresh = keys.write("fresh.json", &json(&after, CARD).await);
    let fresh_set = keys.write("fresh-set.json", &json(&after, KEY_SET).await);
    for (card, set) in [(&cached, &fresh_set), (&fresh, &cached_set), (&fresh, &fresh_set)] {
        assert_eq!(verify(&[card, "--jwks", set])["valid"], true, "{card} {set}");
    }
    assert_eq!(verify(&[&fresh, "--jwks", &fresh_set])["signatures"][0]["kid"], kid(&new).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_signed_by_an_official_sdk_verifies_beside_our_own_signature() {
    let keys = Keys::new();
    let stack = StackBuilder::new(Mode::Embedded).key("acme", "read").start().await;
    let unsigned = keys.write("card.json", &json(&stack, CARD).await);
    for algorithm in ["ES256", "EdDSA"] {
        let theirs = keys.make(&format!("theirs-{algorithm}"), algorithm);
        let ours = keys.make(&format!("ours-{algorithm}"), algorithm);
        for sdk in [python, javascript] {
            let file = keys.write("signed.json", &sdk(&["sign", &theirs, "their-key", &unsigned]));
            assert_eq!(verify(&[&file, "--key", &theirs])["signatures"][0]["kid"], "their-key");
            let both = keys.path("both.json");
            card(&["sign", &file, "--key", &ours, "--out", text(&both)]);
            for key in [&theirs, &ours] {
                assert_eq!(verify(&[text(&both), "--key", key])["valid"], true);
            }
        }
    }
}

#[test]
fn a_node_does_not_start_with_an_invalid_key() {
    let keys = Keys::new();
    let data = keys.path("data");
    for (content, part) in
        [("hello", "longhaul card key new"), ("-----BEGIN RSA PRIVATE KEY-----", "PKCS#8")]
    {
        fs::write(keys.path("bad.pem"), content).expect("the folder is writable");
        let file = format!("cards.signing_keys={}", text(&keys.path("bad.pem")));
        for command in [
            &["dev", "--data", text(&data), "--set", &file][..],
            &["api", "--database-url", "postgres://127.0.0.1:1/none", "--set", &file],
        ] {
            let process = ProcessBuilder::lab(command).start();
            assert_eq!(
                process.wait_exit(TASK_TIMEOUT),
                ProcessExit::Code(2),
                "{}",
                process.stderr()
            );
            let said = process.stderr();
            assert!(said.contains("cards.signing_keys[0]") && said.contains(part), "{said}");
        }
    }
}

#[test]
fn a_node_does_not_wait_for_a_key_file_that_blocks() {
    let keys = Keys::new();
    let (pipe, data) = (keys.path("pipe"), keys.path("data"));
    expect_success(&ProcessBuilder::program("mkfifo", [text(&pipe)]).start());
    let open = keys.make("open", "EdDSA");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("the file is ours");
    for (file, part) in
        [(text(&pipe), "regular file"), ("/dev/zero", "regular file"), (&open, "chmod o-w")]
    {
        let key = format!("cards.signing_keys={file}");
        let process = ProcessBuilder::lab(["dev", "--data", text(&data), "--set", &key]).start();
        assert_eq!(process.wait_exit(TASK_TIMEOUT), ProcessExit::Code(2), "{}", process.stderr());
        let said = process.stderr();
        assert!(said.contains("cards.signing_keys[0]") && said.contains(part), "{said}");
    }
}
