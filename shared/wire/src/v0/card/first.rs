//! What a card of 0.1 says about authentication: the names of schemes, of which one is enough, and nothing else. The document
//! that all clients read says it too, so a client of 0.1 learns that it needs a key before its first call fails.
//!
//! In 0.1 a name is that of an HTTP scheme, or of a kind of scheme as `OpenAPI` calls it.

use crate::{
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    v1::card::{
        APIKeySecurityScheme, AgentCard, HTTPAuthSecurityScheme, OAuth2SecurityScheme,
        OpenIdConnectSecurityScheme, SecurityRequirement, SecurityScheme, StringList,
    },
    write::Members,
};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

const API_KEY: &str = "apiKey";
const OAUTH2: &str = "OAuth2";
const OPEN_ID: &str = "openIdConnect";
const MUTUAL_TLS: &str = "mutualTLS";
/// What authors of cards wrote where nothing is needed.
const NOTHING: [&str; 3] = ["public", "none", ""];

/// How a client of 0.1 is told to authenticate.
pub(super) struct Authentication<'a>(Vec<&'a str>);

impl<'a> Authentication<'a> {
    /// None: nothing is needed.
    pub fn of(card: &'a AgentCard) -> Option<Self> {
        let mut known = BTreeSet::new();
        let needed = card.security_requirements.iter().flat_map(|needed| needed.schemes.keys());
        let names = needed.filter_map(|name| card.security_schemes.get(name)).map(name);
        let names: Vec<&str> = names.filter(|name| known.insert(*name)).collect();
        (!names.is_empty()).then_some(Self(names))
    }
}

impl Serialize for Authentication<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("schemes", &self.0)?;
        members.close()
    }
}

fn name(scheme: &SecurityScheme) -> &str {
    match scheme {
        SecurityScheme::HttpAuth(http) => &http.scheme,
        SecurityScheme::ApiKey(_) => API_KEY,
        SecurityScheme::OAuth2(_) => OAUTH2,
        SecurityScheme::OpenIdConnect(_) => OPEN_ID,
        SecurityScheme::MutualTls(_) => MUTUAL_TLS,
    }
}

/// Schemes by name, and which of them are needed.
pub(super) type Security = (BTreeMap<String, SecurityScheme>, Vec<SecurityRequirement>);

/// Reads what a card of 0.1 says; each scheme is known by its own name.
pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Security> {
    let [schemes] = object(raw, at, ["schemes"])?;
    let names: BTreeSet<String> = schemes.list(at, scalar::text)?.into_iter().collect();
    let names = names.into_iter().filter(|name| !NOTHING.contains(&name.as_str()));
    let schemes: BTreeMap<_, _> = names.map(|name| (name.clone(), scheme(name))).collect();
    let alone = |name: &String| SecurityRequirement {
        schemes: BTreeMap::from([(name.clone(), StringList::default())]),
    };
    let requirements = schemes.keys().map(alone).collect();
    Ok((schemes, requirements))
}

/// What is not said stays empty.
fn scheme(name: String) -> SecurityScheme {
    let is = |kind: &str| name.eq_ignore_ascii_case(kind);
    if is(API_KEY) {
        return SecurityScheme::ApiKey(APIKeySecurityScheme {
            description: None,
            location: "header".to_owned(),
            name: String::new(),
        });
    }
    if is(OAUTH2) {
        return SecurityScheme::OAuth2(OAuth2SecurityScheme {
            description: None,
            flows: None,
            oauth2_metadata_url: None,
        });
    }
    if is(OPEN_ID) {
        return SecurityScheme::OpenIdConnect(OpenIdConnectSecurityScheme {
            description: None,
            open_id_connect_url: String::new(),
        });
    }
    SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
        description: None,
        scheme: name,
        bearer_format: None,
    })
}
