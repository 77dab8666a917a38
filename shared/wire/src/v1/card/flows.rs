//! `OAuthFlows` and each flow (A2A 4.5.7 to 4.5.10), those that are deprecated too: cards of others may hold them.

use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use serde::Serialize;
use std::collections::BTreeMap;

/// How to get a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OAuthFlows {
    /// Authorization code.
    AuthorizationCode(AuthorizationCodeOAuthFlow),
    /// Client credentials.
    ClientCredentials(ClientCredentialsOAuthFlow),
    /// Implicit; deprecated.
    Implicit(ImplicitOAuthFlow),
    /// Password; deprecated.
    Password(PasswordOAuthFlow),
    /// Device code (RFC 8628).
    DeviceCode(DeviceCodeOAuthFlow),
}

/// Authorization code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationCodeOAuthFlow {
    /// Where the user agrees.
    pub authorization_url: String,
    /// Where to get a token.
    pub token_url: String,
    /// Where to get the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes and what they mean.
    pub scopes: BTreeMap<String, String>,
    /// Whether PKCE (RFC 7636) is needed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pkce_required: bool,
}

/// Client credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsOAuthFlow {
    /// Where to get a token.
    pub token_url: String,
    /// Where to get the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes and what they mean.
    pub scopes: BTreeMap<String, String>,
}

/// Implicit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImplicitOAuthFlow {
    /// Where the user agrees.
    pub authorization_url: String,
    /// Where to get the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes and what they mean.
    pub scopes: BTreeMap<String, String>,
}

/// Password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordOAuthFlow {
    /// Where to get a token.
    pub token_url: String,
    /// Where to get the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes and what they mean.
    pub scopes: BTreeMap<String, String>,
}

/// Device code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCodeOAuthFlow {
    /// Where the device asks.
    pub device_authorization_url: String,
    /// Where to get a token.
    pub token_url: String,
    /// Where to get the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes and what they mean.
    pub scopes: BTreeMap<String, String>,
}

/// `None` for a flow of a kind that is not known.
pub(crate) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<OAuthFlows>> {
    let [code, client, implicit, password, device] = object(
        raw,
        at,
        ["authorizationCode", "clientCredentials", "implicit", "password", "deviceCode"],
    )?;
    let code = code.optional(at, read_code)?.map(OAuthFlows::AuthorizationCode);
    let client = client.optional(at, read_client)?.map(OAuthFlows::ClientCredentials);
    let implicit = implicit.optional(at, read_implicit)?.map(OAuthFlows::Implicit);
    let password = password.optional(at, read_password)?.map(OAuthFlows::Password);
    let device = device.optional(at, read_device)?.map(OAuthFlows::DeviceCode);
    Ok(code.or(client).or(device).or(implicit).or(password))
}

/// The members that flows share; each flow takes those that it has.
struct Common {
    authorization_url: String,
    device_authorization_url: String,
    token_url: String,
    refresh_url: Option<String>,
    scopes: BTreeMap<String, String>,
    pkce_required: bool,
}

fn read_common(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Common> {
    let [authorization, device, token, refresh, scopes, pkce] = object(
        raw,
        at,
        [
            "authorizationUrl",
            "deviceAuthorizationUrl",
            "tokenUrl",
            "refreshUrl",
            "scopes",
            "pkceRequired",
        ],
    )?;
    let authorization = authorization.text(at);
    let device = device.text(at);
    let token = token.text(at);
    let refresh = refresh.some_text(at);
    let scopes = scopes.map(at, scalar::text);
    let pkce = pkce.flag(at);
    Ok(Common {
        authorization_url: authorization?,
        device_authorization_url: device?,
        token_url: token?,
        refresh_url: refresh?,
        scopes: scopes?,
        pkce_required: pkce?,
    })
}

fn read_code(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AuthorizationCodeOAuthFlow> {
    let Common { authorization_url, token_url, refresh_url, scopes, pkce_required, .. } =
        read_common(raw, at)?;
    Ok(AuthorizationCodeOAuthFlow {
        authorization_url,
        token_url,
        refresh_url,
        scopes,
        pkce_required,
    })
}

fn read_client(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ClientCredentialsOAuthFlow> {
    let Common { token_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(ClientCredentialsOAuthFlow { token_url, refresh_url, scopes })
}

fn read_implicit(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ImplicitOAuthFlow> {
    let Common { authorization_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(ImplicitOAuthFlow { authorization_url, refresh_url, scopes })
}

fn read_password(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PasswordOAuthFlow> {
    let Common { token_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(PasswordOAuthFlow { token_url, refresh_url, scopes })
}

fn read_device(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<DeviceCodeOAuthFlow> {
    let Common { device_authorization_url, token_url, refresh_url, scopes, .. } =
        read_common(raw, at)?;
    Ok(DeviceCodeOAuthFlow { device_authorization_url, token_url, refresh_url, scopes })
}
