//! Who asks: API keys, and the seam for other ways.
//!
//! Keys are known by their hash only. An answer of the store is remembered for a few seconds, so a revoked key may work
//! that long; while the store does not answer, for a minute. That a key is unknown is remembered for a second, and only a
//! few are asked for at once: whoever has no key can keep the store a little busy, and no more. Keys that this node has seen
//! before have a line of their own, so they wait behind no flood of others; a key that is new to a node waits in the other one.

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

/// How long an answer counts, and how long it does while the store is away.
const FRESH: Duration = Duration::from_secs(5);
const STALE: Duration = Duration::from_secs(60);

/// How long a key counts as unknown.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Keys remembered, of those that are known and of those that are not; when there are more, those that do not count any longer
/// are forgotten, or else all.
const REMEMBERED: usize = 10_000;

/// Keys that the store is asked for at once, of those that were seen before and of those that were not.
const ASKED_AT_ONCE: usize = 16;

/// A way of showing who one is.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who sent these headers; `None`: nobody who is known.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>>;
    /// The value of `WWW-Authenticate` for these headers.
    fn challenge(&self, headers: &HeaderMap) -> &'static str;
    /// Whether callers must show who they are; said on cards.
    fn required(&self) -> bool;
}

/// The authenticator of a setting.
pub fn authenticator(kind: Authentication, store: Arc<dyn Store>) -> Arc<dyn Authenticator> {
    match kind {
        Authentication::None => Arc::new(Anybody),
        Authentication::Keys => Arc::new(ApiKeys::new(store)),
    }
}

/// Authentication is switched off.
struct Anybody;

#[async_trait]
impl Authenticator for Anybody {
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

type Hash = [u8; 32];

struct ApiKeys {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
    asking_again: Semaphore,
    asking: Semaphore,
}

/// What the store said, and when.
#[derive(Default)]
struct Known {
    principals: HashMap<Hash, (Instant, Principal)>,
    unknown: HashMap<Hash, Instant>,
}

/// What is remembered of a key.
#[derive(Debug, PartialEq, Eq)]
enum Recalled {
    /// Whose it is.
    Somebody(Principal),
    /// That it is nobody's.
    Nobody,
    /// Nothing that still counts.
    Nothing,
}

impl ApiKeys {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: Mutex::default(),
            asking_again: Semaphore::new(ASKED_AT_ONCE),
            asking: Semaphore::new(ASKED_AT_ONCE),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a key and still counts.
    fn recall(&self, hash: &Hash) -> Recalled {
        let known = self.known();
        match (known.principals.get(hash), known.unknown.get(hash)) {
            (Some((at, who)), _) if at.elapsed() < FRESH => Recalled::Somebody(who.clone()),
            (None, Some(at)) if at.elapsed() < UNKNOWN => Recalled::Nobody,
            _ => Recalled::Nothing,
        }
    }

    /// The line in which a key waits.
    fn line(&self, hash: &Hash) -> &Semaphore {
        let seen = self.known().principals.contains_key(hash);
        if seen { &self.asking_again } else { &self.asking }
    }

    /// Who showed a key not long ago, for when the store does not answer.
    fn stale(&self, hash: &Hash) -> Option<Principal> {
        let known = self.known();
        let (at, principal) = known.principals.get(hash)?;
        (at.elapsed() < STALE).then(|| principal.clone())
    }

    fn remember(&self, hash: Hash, principal: Option<&Principal>) {
        let (mut known, now) = (self.known(), Instant::now());
        if let Some(principal) = principal {
            known.unknown.remove(&hash);
            if known.principals.len() >= REMEMBERED {
                known.principals.retain(|_, (at, _)| at.elapsed() < FRESH);
            }
            insert(&mut known.principals, hash, (now, principal.clone()));
        } else {
            known.principals.remove(&hash);
            insert(&mut known.unknown, hash, now);
        }
    }
}

fn insert<T>(map: &mut HashMap<Hash, T>, hash: Hash, value: T) {
    if map.len() >= REMEMBERED {
        map.clear();
    }
    map.insert(hash, value);
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        let Some(key) = presented_key(headers) else { return Ok(None) };
        let hash: Hash = Sha256::digest(key).into();
        let mut turn = None;
        loop {
            match (self.recall(&hash), &turn) {
                (Recalled::Somebody(principal), _) => return Ok(Some(principal)),
                (Recalled::Nobody, _) => return Ok(None),
                (Recalled::Nothing, Some(_)) => break,
                // Others may ask for the same key meanwhile.
                (Recalled::Nothing, None) => turn = Some(self.line(&hash).acquire().await),
            }
        }
        match self.store.authenticate(hash).await {
            Ok(principal) => {
                self.remember(hash, principal.as_ref());
                Ok(principal)
            }
            Err(error) => self.stale(&hash).map(Some).ok_or(error),
        }
    }

    fn challenge(&self, headers: &HeaderMap) -> &'static str {
        // RFC 6750, 3: an error code only for those who have shown something.
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
    fn a_key_comes_as_bearer_token_or_in_its_own_header() {
        assert_eq!(presented_key(&headers("authorization", "bearer abc")), Some("abc"));
        assert_eq!(presented_key(&headers("x-api-key", "abc")), Some("abc"));
        assert_eq!(presented_key(&headers("authorization", "Basic abc")), None);
        assert_eq!(presented_key(&headers("authorization", "Bearer ")), None);
        assert_eq!(presented_key(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_works_for_seconds_whatever_the_clock_on_the_wall_says() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeys::new(store);
        let hash = [7; 32];
        keys.remember(hash, Some(&Principal::local()));
        assert_eq!(keys.recall(&hash), Recalled::Somebody(Principal::local()));
        tokio::time::advance(FRESH).await;
        assert_eq!(keys.recall(&hash), Recalled::Nothing);
        assert_eq!(keys.stale(&hash), Some(Principal::local()));
        tokio::time::advance(STALE).await;
        assert_eq!(keys.stale(&hash), None);
    }

    #[tokio::test]
    async fn a_key_that_was_seen_before_waits_behind_no_unknown_ones() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeys::new(store);
        let hash: Hash = Sha256::digest("abc").into();
        let long_ago = Instant::now().checked_sub(FRESH).unwrap();
        keys.known().principals.insert(hash, (long_ago, Principal::local()));
        let flood = u32::try_from(ASKED_AT_ONCE).unwrap();
        let _flood = keys.asking.acquire_many(flood).await.unwrap();
        let headers = headers("authorization", "Bearer abc");
        let asked = keys.authenticate(&headers);
        let answer = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert_eq!(answer.expect("it does not wait").unwrap(), None, "revoked meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_asked_for_once_a_second_and_pushes_no_other_out() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let keys = ApiKeys::new(store);
        keys.remember([0; 32], Some(&Principal::local()));
        for number in 0..=REMEMBERED {
            let mut hash = [1; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            keys.remember(hash, None);
            assert_eq!(keys.recall(&hash), Recalled::Nobody);
        }
        assert_eq!(keys.recall(&[0; 32]), Recalled::Somebody(Principal::local()));
        keys.remember([1; 32], None);
        tokio::time::advance(UNKNOWN).await;
        assert_eq!(keys.recall(&[1; 32]), Recalled::Nothing);
    }
}
