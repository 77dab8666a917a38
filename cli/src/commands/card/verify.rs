//! `longhaul card verify`.
//!
//! Trusts only keys that the user named, or that stand on the server that the card came from. A
//! card may name any address for its keys, and a forger would: a key set on another server
//! is never fetched without `--trust-jku`, not even on a redirect.

use super::{source, view};
use crate::{
    args::VerifyCardArgs,
    exit::{CommandError, CommandResult, Completion},
    print,
};
use longhaul_client::Url;
use longhaul_signing::{
    CardSignature, PublicKey, SIGNATURES_FIELD, TrustedKey, parse_trusted_keys, verify,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Runs the command.
pub async fn run(args: VerifyCardArgs) -> CommandResult {
    let from = source::parse_address(&args.card).transpose()?;
    let from = from.map(|url| source::card_address(url, args.agent.as_deref()));
    let card = match &from {
        Some(url) => source::fetch_json(url, Some(args.version.name())).await?,
        None => source::read_json(&args.card)?,
    };
    let no_card = |error: longhaul_signing::SignError| {
        CommandError::failed(format!("{}: {error}", args.card))
    };
    // Without keys this only counts the signatures.
    if verify(&card, &[]).map_err(no_card)?.is_empty() {
        return Err(CommandError::failed(format!("{}: the card is not signed", args.card)));
    }
    let keys = trusted_keys(&args, &card, from.as_ref()).await?;
    let verifications = verify(&card, &keys).map_err(no_card)?;
    if args.json {
        print::line(&view::compact(&view::verifications_json(&verifications)))?;
    } else {
        print::write_out(&view::verification_table(&verifications))?;
    }
    if verifications.iter().any(|verification| verification.outcome.is_ok()) {
        return Ok(Completion::Ok);
    }
    Err(CommandError::failed(format!("{}: no signature is valid", args.card)))
}

/// Collects the keys to trust.
async fn trusted_keys(
    args: &VerifyCardArgs,
    card: &Value,
    from: Option<&Url>,
) -> Result<Vec<TrustedKey>, CommandError> {
    let mut keys = Vec::new();
    if let Some(path) = &args.key {
        let key = source::read_key(path, PublicKey::from_pem)?;
        keys.push(TrustedKey { kid: None, key });
    }
    if let Some(jwks) = &args.jwks {
        let bytes = match source::parse_address(jwks).transpose()? {
            Some(url) => source::fetch(&url, None).await?,
            None => source::read_bytes(jwks)?,
        };
        keys.extend(key_set(jwks, &bytes)?);
    }
    // Keys that the user names replace those that the card names.
    if args.key.is_some() || args.jwks.is_some() {
        return Ok(keys);
    }
    for url in key_set_urls(card, from, args.trust_jku)? {
        let bytes = source::fetch(&url, None).await?;
        keys.extend(key_set(url.as_str(), &bytes)?);
    }
    Ok(keys)
}

fn key_set(name: &str, bytes: &[u8]) -> Result<Vec<TrustedKey>, CommandError> {
    parse_trusted_keys(bytes).map_err(|error| CommandError::failed(format!("{name}: {error}")))
}

/// Returns the key sets to fetch if the user named no keys.
fn key_set_urls(
    card: &Value,
    from: Option<&Url>,
    trust: bool,
) -> Result<BTreeSet<Url>, CommandError> {
    let (same_origin, elsewhere): (BTreeSet<Url>, BTreeSet<Url>) = named_key_sets(card)
        .into_iter()
        .partition(|url| trust || from.is_some_and(|from| from.origin() == url.origin()));
    if !same_origin.is_empty() {
        return Ok(same_origin);
    }
    match (elsewhere.first(), from) {
        (Some(url), _) => Err(CommandError::failed(format!(
            "the card names its keys at {url}, which is not the server that it came from; --trust-jku takes them all the same, \
             --jwks and --key name keys that you trust"
        ))),
        (None, Some(from)) => Ok(BTreeSet::from([source::key_set_of_server(from)])),
        (None, None) => Err(CommandError::usage(
            "the card does not say where its keys are; name keys that you trust with --jwks or --key",
        )),
    }
}

/// Returns the key sets that the signatures name.
fn named_key_sets(card: &Value) -> BTreeSet<Url> {
    let signatures = card.get(SIGNATURES_FIELD).and_then(Value::as_array).into_iter().flatten();
    signatures
        .filter_map(|signature| serde_json::from_value::<CardSignature>(signature.clone()).ok())
        .filter_map(|signature| signature.protected_header()?.jku)
        .filter_map(|jku| Url::parse(&jku).ok())
        // A card must not make this machine read its own files.
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, response::Redirect, routing::get};
    use longhaul_signing::{Algorithm, KeyRing, PrivateKey};
    use serde_json::json;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::net::TcpListener;

    fn card(jku: Option<&str>) -> Value {
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let mut card = json!({"name": "a"});
        card[SIGNATURES_FIELD] = KeyRing::new(Some(key), [])
            .sign(&card, jku)
            .map(|signatures| serde_json::to_value(signatures).unwrap())
            .unwrap();
        card
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    }

    fn serve(listener: TcpListener, app: Router) {
        longhaul_runtime::spawn(
            "test server",
            async move { axum::serve(listener, app).await.unwrap() },
        );
    }

    fn args(card: String, jwks: Option<String>, trust_jku: bool) -> VerifyCardArgs {
        let (version, agent) = (crate::args::CardVersionArg::V1, None);
        VerifyCardArgs { card, jwks, key: None, trust_jku, agent, version, json: false }
    }

    #[tokio::test]
    async fn a_redirect_to_another_servers_keys_is_not_followed() {
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let ring = KeyRing::new(Some(key), []);
        let ((other_listener, other), (card_listener, server)) = (listen().await, listen().await);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let keys = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            Json(ring.jwks())
        };
        serve(other_listener, Router::new().route("/keys.json", get(keys)));
        let other = format!("{other}/keys.json");
        let (card, to) = (card(Some(&format!("{server}/moved.json"))), other.clone());
        let moved = move || async move { Redirect::to(&to) };
        let app = Router::new().route("/card.json", get(move || async move { Json(card) }));
        serve(card_listener, app.route("/moved.json", get(moved)));
        let card = format!("{server}/card.json");
        for trust in [false, true] {
            let error = run(args(card.clone(), None, trust)).await.unwrap_err().to_string();
            assert!(error.contains(&other) && error.contains("--jwks"), "{error}");
        }
        assert_eq!(requests.load(Ordering::SeqCst), 0);
        // The same keys, named by the user.
        assert_eq!(run(args(card, Some(other), false)).await, Ok(Completion::Ok));
    }

    fn key_sets(
        jku: Option<&str>,
        from: Option<&str>,
        trust: bool,
    ) -> Result<Vec<String>, CommandError> {
        let from = from.map(|from| from.parse().unwrap());
        let urls = key_set_urls(&card(jku), from.as_ref(), trust)?;
        Ok(urls.into_iter().map(String::from).collect())
    }

    #[test]
    fn a_key_set_of_another_server_is_not_fetched_without_trust_jku() {
        let jku = Some("https://a/keys.json");
        assert_eq!(
            key_sets(jku, Some("https://a/card.json"), false).unwrap(),
            ["https://a/keys.json"]
        );
        for from in [None, Some("https://b/c"), Some("http://a/c"), Some("https://a:8/c")] {
            let error = key_sets(jku, from, false).unwrap_err().to_string();
            assert!(
                error.contains("https://a/keys.json") && error.contains("--trust-jku"),
                "{error}"
            );
            assert_eq!(key_sets(jku, from, true).unwrap(), ["https://a/keys.json"]);
        }
    }

    #[test]
    fn the_default_key_set_is_that_of_the_cards_server() {
        let default = ["https://a/.well-known/jwks.json"];
        assert_eq!(key_sets(None, Some("https://a/x/card.json"), false).unwrap(), default);
        assert_eq!(key_sets(Some("file:///etc/x"), Some("https://a/x"), true).unwrap(), default);
        assert_eq!(key_sets(None, None, true).unwrap_err().code(), 2);
    }
}
