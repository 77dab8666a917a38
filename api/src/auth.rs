//! Who asks: API keys, and the seam for other ways.
//!
//! Keys are known by their hash only. An answer of the store is remembered for a few seconds, so a revoked key may work
//! that long; while the store does not answer, for a minute.

use crate::options::Authentication;
use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use longhaul_domain::Principal;
use longhaul_runtime::Clock;
use longhaul_store::{Result, Store};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How long an answer counts, and how long it does while the store is away; milliseconds.
const FRESH_MS: i64 = 5_000;
const STALE_MS: i64 = 60_000;

/// Keys remembered; when there are more, all are forgotten.
const REMEMBERED: usize = 10_000;

/// A way of showing who one is.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who sent these headers; `None`: nobody who is known.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>>;
    /// What to say in `WWW-Authenticate`.
    fn challenge(&self) -> &'static str;
    /// Whether callers must show who they are; said on cards.
    fn required(&self) -> bool;
}

/// The authenticator of a setting.
pub fn authenticator(
    kind: Authentication,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Arc<dyn Authenticator> {
    match kind {
        Authentication::None => Arc::new(Anybody),
        Authentication::Keys => Arc::new(ApiKeys { store, clock, known: Mutex::default() }),
    }
}

/// Authentication is switched off.
struct Anybody;

#[async_trait]
impl Authenticator for Anybody {
    async fn authenticate(&self, _: &HeaderMap) -> Result<Option<Principal>> {
        Ok(Some(Principal::local()))
    }
    fn challenge(&self) -> &'static str {
        ""
    }
    fn required(&self) -> bool {
        false
    }
}

type Hash = [u8; 32];

struct ApiKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<Hash, (i64, Principal)>>,
}

impl ApiKeys {
    fn known(&self) -> MutexGuard<'_, HashMap<Hash, (i64, Principal)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, hash: Hash, now: i64, principal: Option<&Principal>) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        match principal {
            Some(principal) => known.insert(hash, (now, principal.clone())),
            None => known.remove(&hash),
        };
    }
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        let Some(key) = presented_key(headers) else { return Ok(None) };
        let hash: Hash = Sha256::digest(key).into();
        let now = self.clock.now().timestamp_millis();
        let known = self.known().get(&hash).cloned();
        if let Some((at, principal)) = &known
            && now - at < FRESH_MS
        {
            return Ok(Some(principal.clone()));
        }
        match self.store.authenticate(hash).await {
            Ok(principal) => {
                self.remember(hash, now, principal.as_ref());
                Ok(principal)
            }
            Err(error) => match known {
                Some((at, principal)) if now - at < STALE_MS => Ok(Some(principal)),
                _ => Err(error),
            },
        }
    }

    fn challenge(&self) -> &'static str {
        "Bearer realm=\"longhaul\""
    }

    fn required(&self) -> bool {
        true
    }
}

/// The key in the headers: a bearer token or `X-API-Key`.
fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer
        .or_else(|| headers.get("x-api-key")?.to_str().ok().map(str::trim))
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_key_comes_as_bearer_token_or_in_its_own_header() {
        assert_eq!(presented_key(&headers("authorization", "bearer abc")), Some("abc"));
        assert_eq!(presented_key(&headers("x-api-key", "abc")), Some("abc"));
        assert_eq!(presented_key(&headers("authorization", "Basic abc")), None);
        assert_eq!(presented_key(&headers("authorization", "Bearer ")), None);
        assert_eq!(presented_key(&HeaderMap::new()), None);
    }
}
