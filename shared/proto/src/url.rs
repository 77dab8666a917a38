//! Where a webhook is delivered.

use longhaul_wire::{
    WireError,
    raw::{JsonPath, Parsed},
    v1::received_push_config,
};
use serde_json::value::to_raw_value;
use std::collections::BTreeMap;

/// An absolute URL over HTTP, by the one rule that JSON dialects have for it.
pub(crate) fn http_url(url: String, at: &JsonPath<'_>) -> Parsed<String> {
    if url.is_empty() {
        return at.refuse("is required");
    }
    let config =
        to_raw_value(&BTreeMap::from([("url", &url)])).map(|raw| received_push_config(&raw));
    match config {
        Ok(Ok(_)) => Ok(url),
        Ok(Err(WireError::Invalid(violations))) => at.refuse(
            violations.into_iter().next().map_or_else(String::new, |first| first.description),
        ),
        Ok(Err(why)) => at.refuse(why.to_string()),
        Err(why) => at.refuse(why.to_string()),
    }
}
