//! `SecurityScheme` of every kind, and `SecurityRequirement` (A2A 4.5.1 to 4.5.6).

use super::flows::{self, OAuthFlows};
use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use serde::Serialize;
use std::collections::BTreeMap;

/// Schemes that are needed together, with their scopes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityRequirement {
    /// Scopes by the name of the scheme.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub schemes: BTreeMap<String, StringList>,
}

/// A list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StringList {
    /// The strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
}

/// A way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SecurityScheme {
    /// An API key.
    #[serde(rename = "apiKeySecurityScheme")]
    ApiKey(APIKeySecurityScheme),
    /// The `Authorization` header.
    #[serde(rename = "httpAuthSecurityScheme")]
    HttpAuth(HTTPAuthSecurityScheme),
    /// OAuth 2.0.
    #[serde(rename = "oauth2SecurityScheme")]
    OAuth2(OAuth2SecurityScheme),
    /// `OpenID` Connect.
    #[serde(rename = "openIdConnectSecurityScheme")]
    OpenIdConnect(OpenIdConnectSecurityScheme),
    /// Client certificates.
    #[serde(rename = "mtlsSecurityScheme")]
    MutualTls(MutualTlsSecurityScheme),
}

/// An API key in a header, query parameter or cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct APIKeySecurityScheme {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `header`, `query` or `cookie`.
    pub location: String,
    /// Its name there.
    pub name: String,
}

/// A scheme of the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HTTPAuthSecurityScheme {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Such as `Bearer`.
    pub scheme: String,
    /// Such as `JWT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_format: Option<String>,
}

/// OAuth 2.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2SecurityScheme {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How to get a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<OAuthFlows>,
    /// Metadata of the authorization server (RFC 8414).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_metadata_url: Option<String>,
}

/// `OpenID` Connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenIdConnectSecurityScheme {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where to discover the provider.
    pub open_id_connect_url: String,
}

/// Client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MutualTlsSecurityScheme {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

pub(super) fn read_requirement(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SecurityRequirement> {
    let [schemes] = object(raw, at, ["schemes"])?;
    let scopes = |raw: RawJson<'_>, at: &JsonPath<'_>| {
        let [list] = object(raw, at, ["list"])?;
        Ok(StringList { list: list.list(at, scalar::text)? })
    };
    Ok(SecurityRequirement { schemes: schemes.map(at, scopes)? })
}

pub(super) fn read_scheme(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SecurityScheme> {
    let [key, http, oauth2, oidc, mtls] = object(
        raw,
        at,
        [
            "apiKeySecurityScheme",
            "httpAuthSecurityScheme",
            "oauth2SecurityScheme",
            "openIdConnectSecurityScheme",
            "mtlsSecurityScheme",
        ],
    )?;
    let key = key.optional(at, read_key)?.map(SecurityScheme::ApiKey);
    let http = http.optional(at, read_http)?.map(SecurityScheme::HttpAuth);
    let oauth2 = oauth2.optional(at, read_oauth2)?.map(SecurityScheme::OAuth2);
    let oidc = oidc.optional(at, read_oidc)?.map(SecurityScheme::OpenIdConnect);
    let mtls = mtls.optional(at, read_mtls)?.map(SecurityScheme::MutualTls);
    let mut given = [key, http, oauth2, oidc, mtls].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(scheme), None) => Ok(scheme),
        (None, _) | (_, Some(_)) => at.refuse("must hold exactly one kind of security scheme"),
    }
}

fn read_key(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<APIKeySecurityScheme> {
    let [description, location, name] = object(raw, at, ["description", "location", "name"])?;
    let description = description.some_text(at);
    let location = location.text(at);
    let name = name.text(at);
    Ok(APIKeySecurityScheme { description: description?, location: location?, name: name? })
}

fn read_http(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<HTTPAuthSecurityScheme> {
    let [description, scheme, format] = object(raw, at, ["description", "scheme", "bearerFormat"])?;
    let description = description.some_text(at);
    let scheme = scheme.text(at);
    let format = format.some_text(at);
    Ok(HTTPAuthSecurityScheme {
        description: description?,
        scheme: scheme?,
        bearer_format: format?,
    })
}

fn read_oauth2(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<OAuth2SecurityScheme> {
    let [description, flows, metadata] =
        object(raw, at, ["description", "flows", "oauth2MetadataUrl"])?;
    let description = description.some_text(at);
    let flows = flows.optional(at, flows::read).map(Option::flatten);
    let metadata = metadata.some_text(at);
    Ok(OAuth2SecurityScheme {
        description: description?,
        flows: flows?,
        oauth2_metadata_url: metadata?,
    })
}

fn read_oidc(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<OpenIdConnectSecurityScheme> {
    let [description, url] = object(raw, at, ["description", "openIdConnectUrl"])?;
    let description = description.some_text(at);
    let url = url.text(at);
    Ok(OpenIdConnectSecurityScheme { description: description?, open_id_connect_url: url? })
}

fn read_mtls(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<MutualTlsSecurityScheme> {
    let [description] = object(raw, at, ["description"])?;
    Ok(MutualTlsSecurityScheme { description: description.some_text(at)? })
}
