//! Security schemes as `OpenAPI` has them, which 0.3 took over.

use crate::{
    v1::card::{OAuthFlows, SecurityRequirement, SecurityScheme},
    write::Members,
};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Schemes that are needed together: scopes by the name of the scheme.
pub(super) struct Requirement<'a>(pub &'a SecurityRequirement);

impl Serialize for Requirement<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.schemes.iter().map(|(name, scopes)| (name, &scopes.list)))
    }
}

/// A way to authenticate.
pub(super) struct Scheme<'a> {
    pub scheme: &'a SecurityScheme,
    /// Whether the member of 1.0 is there as well.
    pub both: bool,
}

impl Serialize for Scheme<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let both = self.both;
        let mut members = Members::open(serializer)?;
        match self.scheme {
            SecurityScheme::ApiKey(key) => {
                members.put("type", "apiKey")?;
                members.maybe("description", key.description.as_ref())?;
                members.put("in", &key.location)?;
                members.put("name", &key.name)?;
                members.maybe("apiKeySecurityScheme", both.then_some(key))?;
            }
            SecurityScheme::HttpAuth(http) => {
                members.put("type", "http")?;
                members.maybe("description", http.description.as_ref())?;
                members.put("scheme", &http.scheme)?;
                members.maybe("bearerFormat", http.bearer_format.as_ref())?;
                members.maybe("httpAuthSecurityScheme", both.then_some(http))?;
            }
            SecurityScheme::OAuth2(oauth2) => {
                members.put("type", "oauth2")?;
                members.maybe("description", oauth2.description.as_ref())?;
                // A flow of 1.0 is one of 0.3 with members that 0.3 does not know.
                match &oauth2.flows {
                    Some(flow) if both => members.put("flows", flow)?,
                    flow => members.put("flows", &Flows(flow.as_ref()))?,
                }
                members.maybe("oauth2MetadataUrl", oauth2.oauth2_metadata_url.as_ref())?;
                members.maybe("oauth2SecurityScheme", both.then_some(oauth2))?;
            }
            SecurityScheme::OpenIdConnect(oidc) => {
                members.put("type", "openIdConnect")?;
                members.maybe("description", oidc.description.as_ref())?;
                members.put("openIdConnectUrl", &oidc.open_id_connect_url)?;
                members.maybe("openIdConnectSecurityScheme", both.then_some(oidc))?;
            }
            SecurityScheme::MutualTls(mtls) => {
                members.put("type", "mutualTLS")?;
                members.maybe("description", mtls.description.as_ref())?;
                members.maybe("mtlsSecurityScheme", both.then_some(mtls))?;
            }
        }
        members.close()
    }
}

/// The flow, by its name.
struct Flows<'a>(Option<&'a OAuthFlows>);

impl Serialize for Flows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        match self.0 {
            Some(OAuthFlows::AuthorizationCode(flow)) => {
                let shown = CodeFlow {
                    authorization_url: &flow.authorization_url,
                    token_url: &flow.token_url,
                    refresh_url: flow.refresh_url.as_deref(),
                    scopes: &flow.scopes,
                };
                members.put("authorizationCode", &shown)?;
            }
            Some(OAuthFlows::ClientCredentials(flow)) => {
                members.put("clientCredentials", flow)?;
            }
            Some(OAuthFlows::Implicit(flow)) => members.put("implicit", flow)?,
            Some(OAuthFlows::Password(flow)) => members.put("password", flow)?,
            Some(OAuthFlows::DeviceCode(_)) | None => {}
        }
        members.close()
    }
}

/// An authorization code flow without what only 1.0 has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodeFlow<'a> {
    authorization_url: &'a str,
    token_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_url: Option<&'a str>,
    scopes: &'a BTreeMap<String, String>,
}
