//! `longhaul keys`: API keys, created, listed and revoked directly in the store.

use crate::{
    api_key::ApiKey,
    args::{CreateKeyArgs, KeyDatabaseArgs, KeysCommand, ListKeysArgs, RevokeKeyArgs},
    exit::{CommandError, CommandResult, Completion},
    print,
    table::table,
    wiring::{self, store_error},
};
use longhaul_domain::{KeyId, Scope, Scopes};
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::{
    IdSource, Shutdown, SystemIds,
    telemetry::{self, TelemetryError},
};
use longhaul_store::{KeyRecord, NewKey, Store};
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub async fn run(command: KeysCommand, registry: &ExecutorRegistry) -> CommandResult {
    match command {
        KeysCommand::Create(args) => create(args, registry).await,
        KeysCommand::List(args) => list(args, registry).await,
        KeysCommand::Revoke(args) => revoke(args, registry).await,
    }
}

/// Creates a key and stores its hash.
pub async fn create_key(
    store: &dyn Store,
    owner: &str,
    label: &str,
    scopes: &[Scope],
) -> Result<ApiKey, CommandError> {
    let key = ApiKey::generate(&SystemIds);
    let new = NewKey {
        id: key.id.clone(),
        owner: owner.to_owned(),
        hash: key.hash(),
        scopes: Scopes::new(scopes.iter().copied()),
        label: label.to_owned(),
    };
    store.create_key(new).await.map_err(|error| store_error(&error))?;
    Ok(key)
}

/// Opens the store that the flags name.
async fn open_store(
    args: &KeyDatabaseArgs,
    registry: &ExecutorRegistry,
) -> Result<Arc<dyn Store>, CommandError> {
    let settings = wiring::load(&args.config, args.overrides(), registry)?;
    if let Some(data) = &args.data {
        return Ok(wiring::open_sqlite(data).await?);
    }
    if settings.database.url.is_none() {
        return Err(CommandError::usage(
            "keys are kept in a database: name it in LONGHAUL_DATABASE_URL or with --database-url, or the folder of \
             `longhaul dev` with --data",
        ));
    }
    // A wait for the database is logged to standard error, as standard output is for the key. A log
    // that is set up already serves as well.
    let _flushed_on_drop = match telemetry::init(&settings.log, "longhaul-keys") {
        Err(error @ TelemetryError::Filter(_)) => {
            return Err(CommandError::usage(error.to_string()));
        }
        started => started.ok(),
    };
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    match wiring::connect_postgres(&settings, &ids, &Shutdown::new()).await? {
        Some(store) => Ok(store),
        None => Err(CommandError::failed("interrupted")),
    }
}

async fn create(args: CreateKeyArgs, registry: &ExecutorRegistry) -> CommandResult {
    let owner = args.owner.trim();
    if owner.is_empty() {
        return Err(CommandError::usage("--owner: is empty"));
    }
    let store = open_store(&args.store, registry).await?;
    let created = async {
        let key = create_key(&*store, owner, &args.label, &args.scope).await?;
        revoke_unless_printed(&*store, &key, print::line(key.text.expose())).await
    };
    let created = created.await;
    store.close().await;
    created.map(|()| Completion::Ok)
}

/// Revokes a key that could not be printed: it is shown once, so it would be lost.
pub async fn revoke_unless_printed(
    store: &dyn Store,
    key: &ApiKey,
    printed: Result<(), CommandError>,
) -> Result<(), CommandError> {
    // A key that was printed may be in use already.
    let Err(error) = printed else { return Ok(()) };
    let id = &key.id;
    Err(match store.revoke_key(id).await {
        Ok(_) => CommandError::failed(format!("{error}; the key {id} is revoked again")),
        Err(revoke_error) => CommandError::failed(format!(
            "{error}; nobody has seen the key {id}, and it could not be revoked: {revoke_error}; run `longhaul keys revoke {id}`"
        )),
    })
}

async fn list(args: ListKeysArgs, registry: &ExecutorRegistry) -> CommandResult {
    let store = open_store(&args.store, registry).await?;
    let keys = store.keys(args.owner.as_deref()).await;
    store.close().await;
    let keys = keys.map_err(|error| store_error(&error))?;
    if args.json {
        let keys: Vec<_> = keys.iter().map(key_json).collect();
        print::line(&serde_json::Value::from(keys).to_string())?;
    } else {
        print::write_out(&key_table(&keys))?;
    }
    Ok(Completion::Ok)
}

async fn revoke(args: RevokeKeyArgs, registry: &ExecutorRegistry) -> CommandResult {
    let id = KeyId(key_id(&args.id).to_owned());
    let store = open_store(&args.store, registry).await?;
    let revoked = store.revoke_key(&id).await;
    store.close().await;
    if revoked.map_err(|error| store_error(&error))? {
        print::line(&format!("key {id} is revoked"))?;
        return Ok(Completion::Ok);
    }
    Err(CommandError::failed(format!(
        "there is no key {id} that could be revoked; `longhaul keys list` shows them"
    )))
}

/// Returns the id of a key, given as an id or as a whole key, whose secret must not show in
/// messages.
fn key_id(text: &str) -> &str {
    text.strip_prefix("lh_").map_or(text, |rest| rest.split('_').next().unwrap_or(rest))
}

fn scope_list(key: &KeyRecord) -> String {
    let names: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    names.join(",")
}

fn key_json(key: &KeyRecord) -> serde_json::Value {
    json!({
        "id": key.id.0,
        "owner": key.owner_name,
        "label": key.label,
        "scopes": key.scopes,
        "createdAt": key.created_at,
        "revokedAt": key.revoked_at,
    })
}

fn key_table(keys: &[KeyRecord]) -> String {
    if keys.is_empty() {
        return "no keys\n".to_owned();
    }
    let row = |key: &KeyRecord| {
        vec![
            key.id.0.clone(),
            key.owner_name.clone(),
            scope_list(key),
            key.created_at.format("%Y-%m-%d").to_string(),
            if key.revoked_at.is_some() { "revoked" } else { "valid" }.to_owned(),
            key.label.clone(),
        ]
    };
    table(&["KEY", "OWNER", "SCOPES", "CREATED", "STATE", "LABEL"], keys.iter().map(row))
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
            key_table(&[key]),
            "KEY  OWNER  SCOPES      CREATED     STATE    LABEL\n\
             k1   acme   read,write  1970-01-01  revoked  build server\n"
        );
    }

    #[test]
    fn a_key_is_revoked_by_its_id_or_the_whole_key() {
        assert_eq!(key_id("abc"), "abc");
        assert_eq!(key_id("lh_abc_secret"), "abc");
    }
}
