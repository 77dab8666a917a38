//! Owners and their API keys. Only hashes of keys are stored.

use crate::{
    PostgresStore,
    column::column,
    error::{DbError, DbResult},
};
use async_trait::async_trait;
use longhaul_domain::{KeyId, OwnerId, Principal, Scope, Scopes};
use longhaul_store::{KeyRecord, KeyStore, NewKey, Result};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::{PgPool, PgRow};

/// Creates a key, and its owner where the name is new. Repeating it with the same key changes
/// nothing.
pub const CREATE_KEY: &str = "-- store::create_key
with made as (
    insert into owners (name) values ($2)
    on conflict (name) do update set name = excluded.name
    returning owner_id
), key as (
    insert into api_keys as k (key_id, owner_id, hash, scopes, label, created_at)
    select $1, made.owner_id, $3, $4, $5, date_trunc('milliseconds', clock_timestamp()) from made
    on conflict (key_id) do update set label = k.label
    where k.hash = excluded.hash and k.owner_id = excluded.owner_id
    returning owner_id
)
select owner_id from key";

/// Finds the unrevoked key with this hash.
pub const AUTHENTICATE: &str = "-- store::authenticate
select key_id, owner_id, scopes from api_keys where hash = $1 and revoked_at is null";

/// Lists keys, oldest first.
pub const LIST_KEYS: &str = "-- store::list_keys
select k.key_id, k.owner_id, o.name as owner_name, k.label, k.scopes, k.created_at, k.revoked_at
from api_keys k
join owners o on o.owner_id = k.owner_id
where $1::text is null or o.name = $1
order by k.created_at, k.key_id";

/// Revokes a key that is not revoked yet.
pub const REVOKE_KEY: &str = "-- store::revoke_key
update api_keys set revoked_at = date_trunc('milliseconds', clock_timestamp())
where key_id = $1 and revoked_at is null";

#[async_trait]
impl KeyStore for PostgresStore {
    async fn create_key(&self, key: NewKey) -> Result<OwnerId> {
        self.db.retry(|| create(&self.db.pool, &key)).await
    }

    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>> {
        self.db.retry(|| authenticate(&self.db.pool, hash)).await
    }

    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>> {
        self.db.retry(|| list(&self.db.pool, owner)).await
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        self.db.retry(|| revoke(&self.db.pool, id)).await
    }
}

/// Creates a key.
async fn create(pool: &PgPool, key: &NewKey) -> DbResult<OwnerId> {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    let owner: Option<i32> = query_scalar(CREATE_KEY)
        .bind(&key.id.0)
        .bind(&key.owner)
        .bind(&key.hash[..])
        .bind(scopes)
        .bind(&key.label)
        .fetch_optional(pool)
        .await?;
    // No row: the id exists with another hash or owner.
    owner.map(OwnerId).ok_or_else(|| DbError::Rejected("another key has this id".to_owned()))
}

/// Returns the principal of the key with this hash.
async fn authenticate(pool: &PgPool, hash: [u8; 32]) -> DbResult<Option<Principal>> {
    let row = query(AUTHENTICATE).bind(&hash[..]).fetch_optional(pool).await?;
    row.map(|row| {
        Ok(Principal {
            owner: OwnerId(column(&row, "owner_id")?),
            key: Some(KeyId(column(&row, "key_id")?)),
            scopes: scopes(&row)?,
        })
    })
    .transpose()
}

/// Lists keys.
async fn list(pool: &PgPool, owner: Option<&str>) -> DbResult<Vec<KeyRecord>> {
    let rows = query(LIST_KEYS).bind(owner).fetch_all(pool).await?;
    rows.iter().map(|row| ApiKeyRow::try_from(row).map(|row| row.0)).collect()
}

/// Revokes a key. A repeat after a lost answer reports that it was already revoked, which is true.
async fn revoke(pool: &PgPool, id: &KeyId) -> DbResult<bool> {
    Ok(query(REVOKE_KEY).bind(&id.0).execute(pool).await?.rows_affected() > 0)
}

struct ApiKeyRow(KeyRecord);

impl TryFrom<&PgRow> for ApiKeyRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        Ok(Self(KeyRecord {
            id: KeyId(column(row, "key_id")?),
            owner: OwnerId(column(row, "owner_id")?),
            owner_name: column(row, "owner_name")?,
            label: column(row, "label")?,
            scopes: scopes(row)?,
            created_at: column(row, "created_at")?,
            revoked_at: column(row, "revoked_at")?,
        }))
    }
}

fn scopes(row: &PgRow) -> DbResult<Scopes> {
    let names: Vec<String> = column(row, "scopes")?;
    let scopes: std::result::Result<Vec<Scope>, String> =
        names.iter().map(|name| name.parse()).collect();
    scopes.map(Scopes::new).map_err(|error| DbError::corrupt("api_keys.scopes", error))
}
