//! Authentication: API keys, and the [`Authenticator`] seam for other schemes.
//!
//! Keys are known by their SHA-256 only. A lookup is cached for 5 s, so a revoked key may work that
//! long; while the store is unavailable, for 60 s. Unknown keys are cached for 1 s, and few are
//! looked up at a time, so callers without a key cannot load the store. Keys that this node has
//! seen before have permits for themselves and do not queue behind a flood of unknown ones.

use crate::options::Authentication;
use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use longhaul_domain::Principal;
use longhaul_store::{Result, Store};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Time for which a lookup counts, and time for which it counts while the store is unavailable.
const KEY_TTL: Duration = Duration::from_secs(5);
const OUTAGE_KEY_TTL: Duration = Duration::from_secs(60);

/// Time for which a key counts as unknown.
const UNKNOWN_KEY_TTL: Duration = Duration::from_secs(1);

/// Keys cached, of the known and of the unknown ones. A full cache drops expired keys, or else
/// everything.
const MAX_CACHED_KEYS: usize = 10_000;

/// Concurrent lookups in the store: of keys seen before, and again of new ones.
const MAX_CONCURRENT_LOOKUPS: usize = 16;

/// An authentication scheme.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Authenticates a request by its headers; `None` when the credentials are missing or unknown.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>>;
    /// Value of `WWW-Authenticate` for a request with these headers.
    fn challenge(&self, headers: &HeaderMap) -> &'static str;
    /// True when callers must authenticate; cards say so.
    fn required(&self) -> bool;
}

/// Creates the authenticator that a setting names.
pub fn authenticator(kind: Authentication, store: Arc<dyn Store>) -> Arc<dyn Authenticator> {
    match kind {
        Authentication::None => Arc::new(NoAuth),
        Authentication::Keys => Arc::new(ApiKeyAuth::new(store)),
    }
}

/// No authentication: every caller is the local owner.
struct NoAuth;

#[async_trait]
impl Authenticator for NoAuth {
    async fn authenticate(&self, _: &HeaderMap) -> Result<Option<Principal>> {
        Ok(Some(Principal::local()))
    }
    fn challenge(&self, _: &HeaderMap) -> &'static str {
        ""
    }
    fn required(&self) -> bool {
        false
    }
}

type KeyHash = [u8; 32];

struct ApiKeyAuth {
    store: Arc<dyn Store>,
    known: Mutex<KeyCache>,
    repeat_lookups: Semaphore,
    first_lookups: Semaphore,
}

/// Results of earlier lookups and their times.
#[derive(Default)]
struct KeyCache {
    principals: HashMap<KeyHash, (Instant, Principal)>,
    unknown: HashMap<KeyHash, Instant>,
}

/// Cached result for a key.
#[derive(Debug, PartialEq, Eq)]
enum CachedKey {
    /// The key belongs to this principal.
    Found(Principal),
    /// The key is unknown.
    Unknown,
    /// Nothing cached, or expired.
    Miss,
}

impl ApiKeyAuth {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: Mutex::default(),
            repeat_lookups: Semaphore::new(MAX_CONCURRENT_LOOKUPS),
            first_lookups: Semaphore::new(MAX_CONCURRENT_LOOKUPS),
        }
    }

    fn known(&self) -> MutexGuard<'_, KeyCache> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a key up in the cache.
    fn cached_key(&self, hash: &KeyHash) -> CachedKey {
        let known = self.known();
        match (known.principals.get(hash), known.unknown.get(hash)) {
            (Some((at, who)), _) if at.elapsed() < KEY_TTL => CachedKey::Found(who.clone()),
            (None, Some(at)) if at.elapsed() < UNKNOWN_KEY_TTL => CachedKey::Unknown,
            _ => CachedKey::Miss,
        }
    }

    /// Permits under which a key is looked up: keys seen before do not share those of new ones.
    fn lookup_permits(&self, hash: &KeyHash) -> &Semaphore {
        let seen = self.known().principals.contains_key(hash);
        if seen { &self.repeat_lookups } else { &self.first_lookups }
    }

    /// Principal of a key that was valid within the last 60 s, for when the store is unavailable.
    fn stale_principal(&self, hash: &KeyHash) -> Option<Principal> {
        let known = self.known();
        let (at, principal) = known.principals.get(hash)?;
        (at.elapsed() < OUTAGE_KEY_TTL).then(|| principal.clone())
    }

    fn store_lookup(&self, hash: KeyHash, principal: Option<&Principal>) {
        let (mut known, now) = (self.known(), Instant::now());
        if let Some(principal) = principal {
            // The key may have been made after a lookup that did not find it.
            known.unknown.remove(&hash);
            if known.principals.len() >= MAX_CACHED_KEYS {
                // Expired entries go first; if none is, `insert` clears the map.
                known.principals.retain(|_, (at, _)| at.elapsed() < KEY_TTL);
            }
            insert(&mut known.principals, hash, (now, principal.clone()));
        } else {
            known.principals.remove(&hash);
            insert(&mut known.unknown, hash, now);
        }
    }
}

fn insert<T>(map: &mut HashMap<KeyHash, T>, hash: KeyHash, value: T) {
    if map.len() >= MAX_CACHED_KEYS {
        map.clear();
    }
    map.insert(hash, value);
}

#[async_trait]
impl Authenticator for ApiKeyAuth {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        let Some(key) = presented_key(headers) else { return Ok(None) };
        let hash: KeyHash = Sha256::digest(key).into();
        let mut turn = None;
        loop {
            match (self.cached_key(&hash), &turn) {
                (CachedKey::Found(principal), _) => return Ok(Some(principal)),
                (CachedKey::Unknown, _) => return Ok(None),
                (CachedKey::Miss, Some(_)) => break,
                // Another request may have looked up the same key while this one waited for its
                // permit.
                (CachedKey::Miss, None) => turn = Some(self.lookup_permits(&hash).acquire().await),
            }
        }
        match self.store.authenticate(hash).await {
            Ok(principal) => {
                self.store_lookup(hash, principal.as_ref());
                Ok(principal)
            }
            // While the store is unavailable, a key that was valid within a minute still is.
            Err(error) => self.stale_principal(&hash).map(Some).ok_or(error),
        }
    }

    fn challenge(&self, headers: &HeaderMap) -> &'static str {
        // RFC 6750, section 3: an error code only when credentials were presented.
        match presented_key(headers) {
            Some(_) => "Bearer realm=\"longhaul\", error=\"invalid_token\"",
            None => "Bearer realm=\"longhaul\"",
        }
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
    fn a_key_is_a_bearer_token_or_in_its_own_header() {
        assert_eq!(presented_key(&headers("authorization", "bearer abc")), Some("abc"));
        assert_eq!(presented_key(&headers("x-api-key", "abc")), Some("abc"));
        assert_eq!(presented_key(&headers("authorization", "Basic abc")), None);
        assert_eq!(presented_key(&headers("authorization", "Bearer ")), None);
        assert_eq!(presented_key(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_expires_by_the_monotonic_clock() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeyAuth::new(store);
        let hash = [7; 32];
        keys.store_lookup(hash, Some(&Principal::local()));
        assert_eq!(keys.cached_key(&hash), CachedKey::Found(Principal::local()));
        tokio::time::advance(KEY_TTL).await;
        assert_eq!(keys.cached_key(&hash), CachedKey::Miss);
        assert_eq!(keys.stale_principal(&hash), Some(Principal::local()));
        tokio::time::advance(OUTAGE_KEY_TTL).await;
        assert_eq!(keys.stale_principal(&hash), None);
    }

    #[tokio::test]
    async fn a_known_key_does_not_queue_behind_unknown_ones() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeyAuth::new(store);
        let hash: KeyHash = Sha256::digest("abc").into();
        let long_ago = Instant::now().checked_sub(KEY_TTL).unwrap();
        keys.known().principals.insert(hash, (long_ago, Principal::local()));
        let flood = u32::try_from(MAX_CONCURRENT_LOOKUPS).unwrap();
        let _flood = keys.first_lookups.acquire_many(flood).await.unwrap();
        let headers = headers("authorization", "Bearer abc");
        let asked = keys.authenticate(&headers);
        let answer = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert_eq!(answer.expect("it must not wait").unwrap(), None, "revoked meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_are_cached_for_a_second_and_evict_no_known_key() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeyAuth::new(store);
        keys.store_lookup([0; 32], Some(&Principal::local()));
        for number in 0..=MAX_CACHED_KEYS {
            let mut hash = [1; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            keys.store_lookup(hash, None);
            assert_eq!(keys.cached_key(&hash), CachedKey::Unknown);
        }
        assert_eq!(keys.cached_key(&[0; 32]), CachedKey::Found(Principal::local()));
        keys.store_lookup([1; 32], None);
        tokio::time::advance(UNKNOWN_KEY_TTL).await;
        assert_eq!(keys.cached_key(&[1; 32]), CachedKey::Miss);
    }
}
