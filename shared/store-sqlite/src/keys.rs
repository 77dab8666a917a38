//! Owners and their API keys. Only the hash of a secret is stored.

use crate::{
    SqliteStore,
    db::{self, statements},
    error::DbResult,
    row,
    writer::Tx,
};
use async_trait::async_trait;
use longhaul_domain::{KeyId, OwnerId, Principal, Scope, Scopes};
use longhaul_store::{KeyRecord, KeyStore, NewKey, Result};
use rusqlite::{Connection, Row};

statements! {
    ADD_OWNER = "-- store::create_key
        INSERT INTO owners (name, created_at) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    OWNER = "-- store::create_key
        SELECT owner_id FROM owners WHERE name = ?1";
    ADD_KEY = "-- store::create_key
        INSERT INTO api_keys (owner_id, key_id, hash, scopes, label, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    AUTHENTICATE = "-- store::authenticate
        SELECT owner_id, key_id, scopes FROM api_keys WHERE hash = ?1 AND revoked_at IS NULL";
    LIST = "-- store::keys
        SELECT k.owner_id, o.name, k.key_id, k.label, k.scopes, k.created_at, k.revoked_at
        FROM api_keys k JOIN owners o ON o.owner_id = k.owner_id
        WHERE ?1 IS NULL OR o.name = ?1
        ORDER BY k.created_at, k.key_id";
    REVOKE = "-- store::revoke_key
        UPDATE api_keys SET revoked_at = ?2 WHERE key_id = ?1 AND revoked_at IS NULL";
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn create_key(&self, key: NewKey) -> Result<OwnerId> {
        self.writer.write(0, move |tx| create(tx, &key)).await
    }

    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>> {
        self.readers.read(move |conn| authenticate(conn, hash)).await
    }

    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>> {
        let owner = owner.map(str::to_owned);
        self.readers.read(move |conn| list(conn, owner.as_deref())).await
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        let id = id.clone();
        self.writer.write(0, move |tx| revoke(tx, &id)).await
    }
}

fn create(tx: &mut Tx<'_>, key: &NewKey) -> DbResult<OwnerId> {
    db::run(tx.conn, ADD_OWNER, (&key.owner, tx.now))?;
    let owner: Option<i32> = db::one(tx.conn, OWNER, (&key.owner,), |row| Ok(row.get(0)?))?;
    let owner = owner.ok_or_else(|| row::corrupt("owners.name", "the owner just made is gone"))?;
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    let scopes = scopes.join(" ");
    db::run(tx.conn, ADD_KEY, (owner, &key.id.0, &key.hash[..], scopes, &key.label, tx.now))?;
    Ok(OwnerId(owner))
}

fn authenticate(conn: &Connection, hash: [u8; 32]) -> DbResult<Option<Principal>> {
    db::one(conn, AUTHENTICATE, (&hash[..],), |row| {
        Ok(Principal {
            owner: OwnerId(row.get("owner_id")?),
            key: Some(KeyId(row.get("key_id")?)),
            scopes: scopes(row)?,
        })
    })
}

fn list(conn: &Connection, owner: Option<&str>) -> DbResult<Vec<KeyRecord>> {
    db::all(conn, LIST, (owner,), |row| {
        let revoked: Option<i64> = row.get("revoked_at")?;
        Ok(KeyRecord {
            id: KeyId(row.get("key_id")?),
            owner: OwnerId(row.get("owner_id")?),
            owner_name: row.get("name")?,
            label: row.get("label")?,
            scopes: scopes(row)?,
            created_at: row::time(row, "created_at")?,
            revoked_at: revoked.and_then(row::timestamp),
        })
    })
}

fn revoke(tx: &mut Tx<'_>, id: &KeyId) -> DbResult<bool> {
    Ok(db::run(tx.conn, REVOKE, (&id.0, tx.now))? > 0)
}

fn scopes(row: &Row<'_>) -> DbResult<Scopes> {
    let text: String = row.get("scopes")?;
    let scopes =
        text.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<Scope>, _>>();
    scopes.map(Scopes::new).map_err(|e| row::corrupt("scopes", e))
}
