//! `longhaul keys`: made, listed and revoked where they are kept.

use crate::{
    api_key::ApiKey,
    args::{CreateKey, KeysCommand, ListKeys, RevokeKey, WhereKeys},
    exit::{Done, Failure, Outcome},
    parts::{self, sentence},
    print,
};
use longhaul_domain::{KeyId, Scope, Scopes};
use longhaul_runtime::{
    IdSource, Shutdown, SystemIds,
    telemetry::{self, TelemetryError},
};
use longhaul_store::{KeyRecord, NewKey, Store};
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub async fn run(command: KeysCommand) -> Outcome {
    match command {
        KeysCommand::Create(args) => create(args).await,
        KeysCommand::List(args) => list(args).await,
        KeysCommand::Revoke(args) => revoke(args).await,
    }
}

/// Makes a key and stores its hash.
pub async fn make(
    store: &dyn Store,
    owner: &str,
    label: &str,
    scopes: &[Scope],
) -> Result<ApiKey, Failure> {
    let key = ApiKey::generate(&SystemIds);
    let new = NewKey {
        id: key.id.clone(),
        owner: owner.to_owned(),
        hash: key.hash(),
        scopes: Scopes::new(scopes.iter().copied()),
        label: label.to_owned(),
    };
    store.create_key(new).await.map_err(|error| sentence(&error))?;
    Ok(key)
}

/// The store that the flags name.
async fn open(place: &WhereKeys) -> Result<Arc<dyn Store>, Failure> {
    let settings = parts::load(&place.configured, place.overrides())?;
    if let Some(data) = &place.data {
        return Ok(parts::sqlite(data).await?);
    }
    if settings.database.url.is_none() {
        return Err(Failure::usage(
            "keys are kept in a database: name it in LONGHAUL_DATABASE_URL or with --database-url, or the folder of \
             `longhaul dev` with --data",
        ));
    }
    // A wait for the database shows on standard error; standard output is the key's. Where a log is set up already, it does.
    let _flushed_at_the_end = match telemetry::init(&settings.log, "longhaul-keys") {
        Err(error @ TelemetryError::Filter(_)) => return Err(Failure::usage(error.to_string())),
        started => started.ok(),
    };
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    match parts::postgres(&settings, &ids, &Shutdown::new()).await? {
        Some(store) => Ok(store),
        None => Err(Failure::failed("interrupted")),
    }
}

async fn create(args: CreateKey) -> Outcome {
    let owner = args.owner.trim();
    if owner.is_empty() {
        return Err(Failure::usage("--owner: is empty"));
    }
    let store = open(&args.place).await?;
    let created = async {
        let key = make(&*store, owner, &args.label, &args.scope).await?;
        shown(&*store, &key, print::line(key.text.expose())).await
    };
    let created = created.await;
    store.close().await;
    created.map(|()| Done::Ok)
}

/// Revokes a key that could not be printed: nobody has seen it, and nobody will.
pub async fn shown(
    store: &dyn Store,
    key: &ApiKey,
    printed: Result<(), Failure>,
) -> Result<(), Failure> {
    let Err(failure) = printed else { return Ok(()) };
    let id = &key.id;
    Err(match store.revoke_key(id).await {
        Ok(_) => Failure::failed(format!("{failure}; the key {id} is revoked again")),
        Err(error) => Failure::failed(format!(
            "{failure}; nobody has seen the key {id}, and it could not be revoked: {error}; run `longhaul keys revoke {id}`"
        )),
    })
}

async fn list(args: ListKeys) -> Outcome {
    let store = open(&args.place).await?;
    let keys = store.keys(args.owner.as_deref()).await;
    store.close().await;
    let keys = keys.map_err(|error| sentence(&error))?;
    if args.json {
        let keys: Vec<_> = keys.iter().map(as_json).collect();
        print::line(&serde_json::Value::from(keys).to_string())?;
    } else {
        print::write_out(&as_table(&keys))?;
    }
    Ok(Done::Ok)
}

async fn revoke(args: RevokeKey) -> Outcome {
    let id = KeyId(id_of(&args.id).to_owned());
    let store = open(&args.place).await?;
    let revoked = store.revoke_key(&id).await;
    store.close().await;
    if revoked.map_err(|error| sentence(&error))? {
        print::line(&format!("key {id} is revoked"))?;
        return Ok(Done::Ok);
    }
    Err(Failure::failed(format!(
        "there is no key {id} that could be revoked; `longhaul keys list` shows them"
    )))
}

/// The id, also when the whole key was given; the rest of it must not show in messages.
fn id_of(text: &str) -> &str {
    text.strip_prefix("lh_").map_or(text, |rest| rest.split('_').next().unwrap_or(rest))
}

fn scopes_of(key: &KeyRecord) -> String {
    let names: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    names.join(",")
}

fn as_json(key: &KeyRecord) -> serde_json::Value {
    json!({
        "id": key.id.0,
        "owner": key.owner_name,
        "label": key.label,
        "scopes": key.scopes,
        "createdAt": key.created_at,
        "revokedAt": key.revoked_at,
    })
}

fn as_table(keys: &[KeyRecord]) -> String {
    if keys.is_empty() {
        return "no keys\n".to_owned();
    }
    let head = ["KEY", "OWNER", "SCOPES", "CREATED", "STATE", "LABEL"].map(str::to_owned).to_vec();
    let row = |key: &KeyRecord| {
        vec![
            key.id.0.clone(),
            key.owner_name.clone(),
            scopes_of(key),
            key.created_at.format("%Y-%m-%d").to_string(),
            if key.revoked_at.is_some() { "revoked" } else { "valid" }.to_owned(),
            key.label.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(keys.iter().map(row)).collect();
    print::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use longhaul_domain::OwnerId;

    #[test]
    fn keys_are_a_table() {
        let key = KeyRecord {
            id: KeyId("k1".to_owned()),
            owner: OwnerId(7),
            owner_name: "acme".to_owned(),
            label: "build server".to_owned(),
            scopes: Scopes::new([Scope::Write, Scope::Read]),
            created_at: DateTime::UNIX_EPOCH,
            revoked_at: Some(DateTime::UNIX_EPOCH),
        };
        assert_eq!(
            as_table(&[key]),
            "KEY  OWNER  SCOPES      CREATED     STATE    LABEL\n\
             k1   acme   read,write  1970-01-01  revoked  build server\n"
        );
    }

    #[test]
    fn a_key_is_revoked_by_its_id_or_as_a_whole() {
        assert_eq!(id_of("abc"), "abc");
        assert_eq!(id_of("lh_abc_secret"), "abc");
    }
}
