//! `longhaul card verify`.
//!
//! Only keys count that the user named, or that stand on the server which the card came from. A card may name any place for
//! its keys: one elsewhere is never fetched without being told to, also when the server itself sends there.

use super::{source, view};
use crate::{
    args::VerifyCard,
    client::fetch,
    exit::{Done, Failure, Outcome},
    print,
};
use longhaul_signing::{
    CardSignature, PublicKey, SIGNATURES_FIELD, TrustedKey, parse_trusted_keys, verify,
};
use reqwest::Url;
use serde_json::Value;
use std::collections::BTreeSet;

/// Runs the command.
pub async fn run(args: VerifyCard) -> Outcome {
    let from = source::address(&args.card).transpose()?;
    let from = from.map(|url| source::card_address(url, args.agent.as_deref()));
    let card = match &from {
        Some(url) => source::from_address(url, Some(args.version.name())).await?,
        None => source::from_file(&args.card)?,
    };
    let no_card =
        |error: longhaul_signing::SignError| Failure::failed(format!("{}: {error}", args.card));
    // Without keys: whether there is anything to verify.
    if verify(&card, &[]).map_err(no_card)?.is_empty() {
        return Err(Failure::failed(format!("{}: the card is not signed", args.card)));
    }
    let keys = keys(&args, &card, from.as_ref()).await?;
    let verdicts = verify(&card, &keys).map_err(no_card)?;
    if args.json {
        print::line(&view::compact(&view::verdicts_as_json(&verdicts)))?;
    } else {
        print::write_out(&view::verdicts(&verdicts))?;
    }
    if verdicts.iter().any(|verdict| verdict.outcome.is_ok()) {
        return Ok(Done::Ok);
    }
    Err(Failure::failed(format!("{}: no signature is valid", args.card)))
}

/// The keys that count.
async fn keys(
    args: &VerifyCard,
    card: &Value,
    from: Option<&Url>,
) -> Result<Vec<TrustedKey>, Failure> {
    let mut keys = Vec::new();
    if let Some(path) = &args.key {
        let key = source::key(path, PublicKey::from_pem)?;
        keys.push(TrustedKey { kid: None, key });
    }
    if let Some(jwks) = &args.jwks {
        let bytes = match source::address(jwks).transpose()? {
            Some(url) => fetch(&url, None).await?,
            None => source::bytes_of(jwks)?,
        };
        keys.extend(key_set(jwks, &bytes)?);
    }
    if args.key.is_some() || args.jwks.is_some() {
        return Ok(keys);
    }
    for url in places(card, from, args.trust_jku)? {
        let bytes = fetch(&url, None).await?;
        keys.extend(key_set(url.as_str(), &bytes)?);
    }
    Ok(keys)
}

fn key_set(name: &str, bytes: &[u8]) -> Result<Vec<TrustedKey>, Failure> {
    parse_trusted_keys(bytes).map_err(|error| Failure::failed(format!("{name}: {error}")))
}

/// The key sets to fetch when the user named none.
fn places(card: &Value, from: Option<&Url>, trust: bool) -> Result<BTreeSet<Url>, Failure> {
    let (near, far): (BTreeSet<Url>, BTreeSet<Url>) = named(card)
        .into_iter()
        .partition(|url| trust || from.is_some_and(|from| from.origin() == url.origin()));
    if !near.is_empty() {
        return Ok(near);
    }
    match (far.first(), from) {
        (Some(url), _) => Err(Failure::failed(format!(
            "the card names its keys at {url}, which is not the server that it came from; --trust-jku takes them all the same, \
             --jwks and --key name keys that you trust"
        ))),
        (None, Some(from)) => Ok(BTreeSet::from([source::key_set_beside(from)])),
        (None, None) => Err(Failure::usage(
            "the card does not say where its keys are; name keys that you trust with --jwks or --key",
        )),
    }
}

/// The key sets that the signatures name.
fn named(card: &Value) -> BTreeSet<Url> {
    let signatures = card.get(SIGNATURES_FIELD).and_then(Value::as_array).into_iter().flatten();
    signatures
        .filter_map(|signature| serde_json::from_value::<CardSignature>(signature.clone()).ok())
        .filter_map(|signature| signature.protected_header()?.jku)
        .filter_map(|jku| Url::parse(&jku).ok())
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
        longhaul_runtime::spawn("fake", async move { axum::serve(listener, app).await.unwrap() });
    }

    fn args(card: String, jwks: Option<String>, trust_jku: bool) -> VerifyCard {
        let (version, agent) = (crate::args::CardVersion::V1, None);
        VerifyCard { card, jwks, key: None, trust_jku, agent, version, json: false }
    }

    #[tokio::test]
    async fn keys_that_the_server_sends_elsewhere_for_are_not_taken() {
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let ring = KeyRing::new(Some(key), []);
        let ((far_side, far), (near_side, near)) = (listen().await, listen().await);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let keys = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            Json(ring.jwks())
        };
        serve(far_side, Router::new().route("/keys.json", get(keys)));
        let far = format!("{far}/keys.json");
        let (card, to) = (card(Some(&format!("{near}/moved.json"))), far.clone());
        let moved = move || async move { Redirect::to(&to) };
        let app = Router::new().route("/card.json", get(move || async move { Json(card) }));
        serve(near_side, app.route("/moved.json", get(moved)));
        let card = format!("{near}/card.json");
        for trust in [false, true] {
            let error = run(args(card.clone(), None, trust)).await.unwrap_err().to_string();
            assert!(error.contains(&far) && error.contains("--jwks"), "{error}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        // The same keys, named by the user.
        assert_eq!(run(args(card, Some(far), false)).await, Ok(Done::Ok));
    }

    fn found(jku: Option<&str>, from: Option<&str>, trust: bool) -> Result<Vec<String>, Failure> {
        let from = from.map(|from| from.parse().unwrap());
        let places = places(&card(jku), from.as_ref(), trust)?;
        Ok(places.into_iter().map(String::from).collect())
    }

    #[test]
    fn a_key_set_elsewhere_is_not_fetched_without_being_told_to() {
        let jku = Some("https://a/keys.json");
        assert_eq!(
            found(jku, Some("https://a/card.json"), false).unwrap(),
            ["https://a/keys.json"]
        );
        for from in [None, Some("https://b/c"), Some("http://a/c"), Some("https://a:8/c")] {
            let error = found(jku, from, false).unwrap_err().to_string();
            assert!(
                error.contains("https://a/keys.json") && error.contains("--trust-jku"),
                "{error}"
            );
            assert_eq!(found(jku, from, true).unwrap(), ["https://a/keys.json"]);
        }
    }

    #[test]
    fn without_a_place_the_server_is_asked_for_its_key_set() {
        let beside = ["https://a/.well-known/jwks.json"];
        assert_eq!(found(None, Some("https://a/x/card.json"), false).unwrap(), beside);
        assert_eq!(found(Some("file:///etc/x"), Some("https://a/x"), true).unwrap(), beside);
        assert_eq!(found(None, None, true).unwrap_err().code(), 2);
    }
}
