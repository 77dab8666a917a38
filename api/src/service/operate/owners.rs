//! Owners by name or number. An owner exists once a key was made for it; the one of unauthenticated
//! mode always does.

use super::{OperatorError, Result};
use crate::service::{Caller, Service};
use longhaul_domain::{OwnerId, ids::MAX_CLIENT_ID_BYTES, text::check_identifier};
use std::collections::HashMap;

/// Name of the owner in unauthenticated mode.
const LOCAL_OWNER_NAME: &str = "local";

impl Service {
    /// The owner of this name, or else of this number.
    pub(super) async fn owner(&self, caller: &Caller, text: &str) -> Result<OwnerId> {
        let nobody = || {
            let why = "there is no owner of this name or number; see `longhaul keys list`";
            OperatorError::NotFound(why.to_owned())
        };
        check_identifier(text, MAX_CLIENT_ID_BYTES).map_err(|_| nobody())?;
        let named = self.store.keys(Some(text)).await.map_err(|e| caller.refused(&e))?;
        if let Some(key) = named.first() {
            return Ok(key.owner);
        }
        // No key has made this owner, and yet it exists.
        if text == LOCAL_OWNER_NAME {
            return Ok(OwnerId::LOCAL);
        }
        if let Ok(number) = text.parse() {
            let owner = OwnerId(number);
            if self.owner_names(caller).await?.contains_key(&owner) {
                return Ok(owner);
            }
        }
        Err(nobody())
    }

    /// Names of all owners.
    pub(super) async fn owner_names(&self, caller: &Caller) -> Result<HashMap<OwnerId, String>> {
        let keys = self.store.keys(None).await.map_err(|e| caller.refused(&e))?;
        let mut names: HashMap<OwnerId, String> =
            keys.into_iter().map(|key| (key.owner, key.owner_name)).collect();
        names.entry(OwnerId::LOCAL).or_insert_with(|| LOCAL_OWNER_NAME.to_owned());
        Ok(names)
    }
}
