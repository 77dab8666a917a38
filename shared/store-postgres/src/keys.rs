//! Owners and their API keys. Only hashes of keys are stored.

use crate::{
    column::column,
    failure::{DbResult, Failure},
};
use longhaul_domain::{KeyId, OwnerId, Principal, Scope, Scopes};
use longhaul_store::{KeyRecord, NewKey};
use sqlx_core::{query::query, query_scalar::query_scalar};
use sqlx_postgres::{PgPool, PgRow};

/// Makes a key, and its owner where there is none of that name. The same key again changes nothing.
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

/// Whose key has this hash.
pub const AUTHENTICATE: &str = "-- store::authenticate
select key_id, owner_id, scopes from api_keys where hash = $1 and revoked_at is null";

/// Keys, oldest first.
pub const KEYS: &str = "-- store::keys
select k.key_id, k.owner_id, o.name as owner_name, k.label, k.scopes, k.created_at, k.revoked_at
from api_keys k
join owners o on o.owner_id = k.owner_id
where $1::text is null or o.name = $1
order by k.created_at, k.key_id";

/// Revokes a key that is not revoked yet.
pub const REVOKE_KEY: &str = "-- store::revoke_key
update api_keys set revoked_at = date_trunc('milliseconds', clock_timestamp())
where key_id = $1 and revoked_at is null";

/// Creates a key.
pub async fn create(pool: &PgPool, key: &NewKey) -> DbResult<OwnerId> {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    let owner: Option<i32> = query_scalar(CREATE_KEY)
        .bind(&key.id.0)
        .bind(&key.owner)
        .bind(&key.hash[..])
        .bind(scopes)
        .bind(&key.label)
        .fetch_optional(pool)
        .await?;
    owner.map(OwnerId).ok_or_else(|| Failure::Refused("there is another key of that id".to_owned()))
}

/// Who shows a key with this hash.
pub async fn authenticate(pool: &PgPool, hash: [u8; 32]) -> DbResult<Option<Principal>> {
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
pub async fn list(pool: &PgPool, owner: Option<&str>) -> DbResult<Vec<KeyRecord>> {
    let rows = query(KEYS).bind(owner).fetch_all(pool).await?;
    rows.iter().map(|row| KeyRow::try_from(row).map(|row| row.0)).collect()
}

/// Revokes a key. A repeat after a lost answer says that it was revoked already, which it was.
pub async fn revoke(pool: &PgPool, id: &KeyId) -> DbResult<bool> {
    Ok(query(REVOKE_KEY).bind(&id.0).execute(pool).await?.rows_affected() > 0)
}

struct KeyRow(KeyRecord);

impl TryFrom<&PgRow> for KeyRow {
    type Error = Failure;
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
    let scopes: Result<Vec<Scope>, String> = names.iter().map(|name| name.parse()).collect();
    scopes.map(Scopes::new).map_err(|error| Failure::corrupt("api_keys.scopes", error))
}
