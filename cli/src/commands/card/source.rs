//! Where a card, a key set or a key comes from.

use crate::{
    client::fetch,
    exit::Failure,
    parts::key_file::{self, Source},
    print,
};
use longhaul_signing::{KeyError, read};
use reqwest::Url;
use serde_json::Value;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Where a server keeps the card of the agent at its root (A2A 8.2).
const CARD: &str = "/.well-known/agent-card.json";
/// Where it keeps its key set.
const KEY_SET: &str = "/.well-known/jwks.json";

/// The address, if the text is one and no file name.
pub fn address(text: &str) -> Option<Result<Url, Failure>> {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let broken = |error| Failure::usage(format!("{text:?} is no URL: {error}"));
    is_address.then(|| Url::parse(text).map_err(broken))
}

/// The address of a card: what ends with `.json` is one; else a server, and an agent of it.
pub fn card_address(url: Url, agent: Option<&str>) -> Url {
    if Path::new(url.path()).extension().is_some_and(|end| end == "json") {
        return url;
    }
    let agent = agent.map(|agent| format!("/agents/{agent}")).unwrap_or_default();
    let path = format!("{}{agent}{CARD}", url.path().trim_end_matches('/'));
    let mut url = url;
    url.set_path(&path);
    url
}

/// Where the server of a card keeps its key set.
pub fn key_set_beside(card: &Url) -> Url {
    let mut url = card.clone();
    url.set_path(KEY_SET);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Reads a document of JSON from its address.
pub async fn from_address(url: &Url, version: Option<&str>) -> Result<Value, Failure> {
    let bytes = fetch(url, version).await?;
    read(&bytes).map_err(|error| Failure::failed(format!("{url}: {error}")))
}

/// Reads a document of JSON from a file, or from standard input.
pub fn from_file(name: &str) -> Result<Value, Failure> {
    let bytes = bytes_of(name)?;
    read(&bytes).map_err(|error| Failure::failed(format!("{name}: {error}")))
}

/// The bytes of a file, or of standard input.
pub fn bytes_of(name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = match name {
        "-" => io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        name => fs::read(name).map(|all| bytes = all),
    };
    done.map_err(|error| Failure::usage(format!("{name}: cannot be read: {error}")))?;
    Ok(bytes)
}

/// Reads a key from a PEM file. What is wrong with it never shows the key.
pub fn key<T>(path: &Path, parse: impl Fn(&str) -> Result<T, KeyError>) -> Result<T, Failure> {
    let refused = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let file = key_file::read(path, Source::Any).map_err(refused)?;
    if let Some(warning) = file.warning {
        print::complaint(&format!("{}: {warning}", path.display()));
    }
    parse(&file.text).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        address(text).unwrap().unwrap()
    }

    #[test]
    fn a_server_keeps_cards_where_the_protocol_says() {
        let card = |text: &str, agent| card_address(url(text), agent).to_string();
        assert_eq!(card("http://a:1", None), "http://a:1/.well-known/agent-card.json");
        let below = "https://a/x/agents/b/.well-known/agent-card.json";
        assert_eq!(card("https://a/x/", Some("b")), below);
        assert_eq!(card("https://a/cards/my.json?v=1", Some("b")), "https://a/cards/my.json?v=1");
        assert_eq!(card("https://a.json", None), "https://a.json/.well-known/agent-card.json");
    }

    #[test]
    fn the_key_set_is_beside_the_card_of_the_root() {
        let beside = key_set_beside(&url("https://a:8/agents/b/.well-known/agent-card.json?x#y"));
        assert_eq!(beside.as_str(), "https://a:8/.well-known/jwks.json");
    }

    #[test]
    fn a_file_is_no_address() {
        assert!(address("card.json").is_none() && address("-").is_none());
        assert_eq!(address("http://").unwrap().unwrap_err().code(), 2);
        assert_eq!(from_file("/nowhere/card.json").unwrap_err().code(), 2);
    }
}
