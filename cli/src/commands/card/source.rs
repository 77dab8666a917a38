//! Sources of cards, key sets and keys: addresses, files and standard input.

use crate::{
    exit::CommandError,
    print,
    screen::clean,
    wiring::key_file::{self, KeySource},
};
use longhaul_client::{ClientError, Url, fetch_document};
use longhaul_signing::{KeyError, parse_unambiguous};
use serde_json::Value;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Path of the card of the agent at a server's root (A2A 8.2).
const CARD_PATH: &str = "/.well-known/agent-card.json";
/// Path of a server's key set.
const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// Parses text that is an address and no file name.
pub fn parse_address(text: &str) -> Option<Result<Url, CommandError>> {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let invalid = |error| CommandError::usage(format!("{text:?} is no URL: {error}"));
    is_address.then(|| Url::parse(text).map_err(invalid))
}

/// Returns the address of a card: an address that ends with `.json` as it is, any other as a
/// server's, which has the card of the agent at the path of A2A 8.2.
pub fn card_address(url: Url, agent: Option<&str>) -> Url {
    if Path::new(url.path()).extension().is_some_and(|end| end == "json") {
        return url;
    }
    let agent = agent.map(|agent| format!("/agents/{agent}")).unwrap_or_default();
    let path = format!("{}{agent}{CARD_PATH}", url.path().trim_end_matches('/'));
    let mut url = url;
    url.set_path(&path);
    url
}

/// Returns the address of the key set on a card's server.
pub fn key_set_of_server(card: &Url) -> Url {
    let mut url = card.clone();
    url.set_path(KEY_SET_PATH);
    // What follows the path belongs to the card's address alone.
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Fetches a public document: no API key is sent, and no other server is asked.
pub async fn fetch(url: &Url, version: Option<&str>) -> Result<Vec<u8>, CommandError> {
    fetch_document(url, version).await.map_err(|error| match error {
        ClientError::Redirected { url, to } => {
            let to = to.unwrap_or_else(|| "an address that it does not say".to_owned());
            CommandError::failed(format!(
                "{url} sends its clients on to {to}, which was not asked: what another server gives counts only if you name that \
                 server; if you trust it, name its address yourself (a key set with --jwks)"
            ))
        }
        ClientError::Denied { url, status, message, .. } => {
            CommandError::failed(format!("{url} answered HTTP {status}: {}", clean(&message)))
        }
        error => error.into(),
    })
}

/// Fetches a JSON document.
pub async fn fetch_json(url: &Url, version: Option<&str>) -> Result<Value, CommandError> {
    let bytes = fetch(url, version).await?;
    parse_unambiguous(&bytes).map_err(|error| CommandError::failed(format!("{url}: {error}")))
}

/// Reads a JSON document from a file, or from standard input for `-`.
pub fn read_json(name: &str) -> Result<Value, CommandError> {
    let bytes = read_bytes(name)?;
    parse_unambiguous(&bytes).map_err(|error| CommandError::failed(format!("{name}: {error}")))
}

/// Reads a file, or standard input for `-`.
pub fn read_bytes(name: &str) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let done = match name {
        "-" => io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        name => fs::read(name).map(|all| bytes = all),
    };
    done.map_err(|error| CommandError::usage(format!("{name}: cannot be read: {error}")))?;
    Ok(bytes)
}

/// Reads a key from a PEM file. Errors and warnings never show the key.
pub fn read_key<T>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, CommandError> {
    let invalid = |why: String| CommandError::usage(format!("{}: {why}", path.display()));
    let file = key_file::read(path, KeySource::Any).map_err(invalid)?;
    if let Some(warning) = file.warning {
        print::warning(&format!("{}: {warning}", path.display()));
    }
    parse(&file.text).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        parse_address(text).unwrap().unwrap()
    }

    #[test]
    fn cards_stand_at_the_paths_of_the_protocol() {
        let card = |text: &str, agent| card_address(url(text), agent).to_string();
        assert_eq!(card("http://a:1", None), "http://a:1/.well-known/agent-card.json");
        let below = "https://a/x/agents/b/.well-known/agent-card.json";
        assert_eq!(card("https://a/x/", Some("b")), below);
        assert_eq!(card("https://a/cards/my.json?v=1", Some("b")), "https://a/cards/my.json?v=1");
        assert_eq!(card("https://a.json", None), "https://a.json/.well-known/agent-card.json");
    }

    #[test]
    fn the_key_set_stands_at_the_root_of_the_server() {
        let key_set =
            key_set_of_server(&url("https://a:8/agents/b/.well-known/agent-card.json?x#y"));
        assert_eq!(key_set.as_str(), "https://a:8/.well-known/jwks.json");
    }

    #[test]
    fn a_file_name_is_no_address() {
        assert!(parse_address("card.json").is_none() && parse_address("-").is_none());
        assert_eq!(parse_address("http://").unwrap().unwrap_err().code(), 2);
        assert_eq!(read_json("/nowhere/card.json").unwrap_err().code(), 2);
    }
}
