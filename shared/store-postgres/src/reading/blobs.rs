//! Large contents.

use crate::{column::column, failure::DbResult};
use bytes::Bytes;
use longhaul_domain::{BlobHash, OwnerId};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::collections::HashMap;

/// Contents by hash.
pub const READ_BLOBS: &str = "-- store::read_blobs
select b.hash, b.bytes
from unnest($2::bytea[]) as w (hash)
cross join lateral (
    select b.hash, b.bytes from blobs b where b.owner_id = $1 and b.hash = w.hash offset 0
) b";

/// Those contents that the owner has.
pub async fn read(
    connection: &mut PgConnection,
    owner: OwnerId,
    hashes: &[BlobHash],
) -> DbResult<HashMap<BlobHash, Bytes>> {
    let wanted: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
    let rows = query(READ_BLOBS).bind(owner.0).bind(wanted).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let bytes: Vec<u8> = column(row, "bytes")?;
            Ok((BlobHash(column(row, "hash")?), Bytes::from(bytes)))
        })
        .collect()
}
