//! API keys: a key authenticates its owner until it is revoked.

use crate::kit::{hash, uuid};
use longhaul_domain::{KeyId, OwnerId, Principal, Scope, Scopes};
use longhaul_store::{NewKey, Store, StoreError};
use std::sync::Arc;

fn key(owner: &str, scopes: impl IntoIterator<Item = Scope>) -> NewKey {
    NewKey {
        id: KeyId(uuid().to_string()),
        owner: owner.to_owned(),
        hash: hash(),
        scopes: Scopes::new(scopes),
        label: format!("for {owner}"),
    }
}

pub async fn a_key_authenticates_its_owner_with_its_scopes(store: Arc<dyn Store>) {
    let one = key("acme", [Scope::Read]);
    let two = key("acme", [Scope::Write, Scope::Read]);
    let other = key("other", [Scope::Admin]);
    let acme = store.create_key(one.clone()).await.unwrap();
    assert_eq!(store.create_key(two.clone()).await.unwrap(), acme, "one owner of a name");
    let others = store.create_key(other.clone()).await.unwrap();
    assert_ne!(acme, others);
    assert!(
        acme != OwnerId::LOCAL && others != OwnerId::LOCAL,
        "named owners are not the local owner"
    );
    for (owner, key) in [(acme, one), (acme, two), (others, other)] {
        let expected = Principal { owner, key: Some(key.id), scopes: key.scopes };
        assert_eq!(store.authenticate(key.hash).await.unwrap(), Some(expected));
    }
    assert_eq!(store.authenticate(hash()).await.unwrap(), None);
}

pub async fn a_revoked_key_is_rejected(store: Arc<dyn Store>) {
    let (gone, stays) = (key("acme", [Scope::Read]), key("acme", [Scope::Read]));
    store.create_key(gone.clone()).await.unwrap();
    store.create_key(stays.clone()).await.unwrap();
    assert!(store.revoke_key(&gone.id).await.unwrap());
    assert!(!store.revoke_key(&gone.id).await.unwrap(), "it was revoked already");
    assert!(!store.revoke_key(&KeyId("nobody".to_owned())).await.unwrap());
    assert_eq!(store.authenticate(gone.hash).await.unwrap(), None);
    assert!(store.authenticate(stays.hash).await.unwrap().is_some());
}

pub async fn keys_are_listed_by_owner_or_all(store: Arc<dyn Store>) {
    let (one, other) = (key("acme", [Scope::Read, Scope::Write]), key("other", [Scope::Admin]));
    let acme = store.create_key(one.clone()).await.unwrap();
    store.create_key(other.clone()).await.unwrap();
    store.revoke_key(&one.id).await.unwrap();
    let listed = store.keys(Some("acme")).await.unwrap();
    assert_eq!(listed.len(), 1);
    let record = &listed[0];
    assert_eq!((&record.id, record.owner, &record.scopes), (&one.id, acme, &one.scopes));
    assert_eq!((record.owner_name.as_str(), record.label.as_str()), ("acme", "for acme"));
    assert!(record.revoked_at.is_some_and(|at| at >= record.created_at));
    assert_eq!(store.keys(None).await.unwrap().len(), 2);
    assert!(store.keys(Some("nobody")).await.unwrap().is_empty());
}

pub async fn a_key_id_is_unique(store: Arc<dyn Store>) {
    let first = key("acme", [Scope::Read]);
    store.create_key(first.clone()).await.unwrap();
    let second = NewKey { id: first.id.clone(), ..key("other", [Scope::Admin]) };
    let outcome = store.create_key(second.clone()).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    assert_eq!(store.authenticate(second.hash).await.unwrap(), None);
}

pub async fn a_store_without_authentication_has_a_local_owner(store: Arc<dyn Store>) {
    let local =
        crate::kit::TestClient { store, owner: OwnerId::LOCAL, agent: crate::kit::agent("echo") };
    let key = local.accepted().await;
    assert_eq!(local.claim_one().await.key(), key);
}

pub async fn a_migrated_store_answers_its_check(store: Arc<dyn Store>) {
    store.check().await.unwrap();
}
