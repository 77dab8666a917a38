//! Security on an agent card: `SecurityScheme`, `SecurityRequirement` and `OAuthFlows` (A2A 4.5.1
//! to 4.5.10). Deprecated flows are included, since cards of other servers may hold them.

use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use serde::Serialize;
use std::collections::BTreeMap;

/// Set of schemes that are required together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityRequirement {
    /// Required scopes, by scheme name.
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

/// Authentication scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SecurityScheme {
    /// API key.
    #[serde(rename = "apiKeySecurityScheme")]
    ApiKey(APIKeySecurityScheme),
    /// Scheme of the `Authorization` header.
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
    /// Human-readable description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `header`, `query` or `cookie`.
    pub location: String,
    /// Name of the header, parameter or cookie.
    pub name: String,
}

/// A scheme of the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HTTPAuthSecurityScheme {
    /// Human-readable description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Scheme name, such as `Bearer`.
    pub scheme: String,
    /// Token format, such as `JWT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_format: Option<String>,
}

/// OAuth 2.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2SecurityScheme {
    /// Human-readable description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Flow for obtaining tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<OAuthFlows>,
    /// Metadata URL of the authorization server (RFC 8414).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_metadata_url: Option<String>,
}

/// `OpenID` Connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenIdConnectSecurityScheme {
    /// Human-readable description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Discovery URL of the provider.
    pub open_id_connect_url: String,
}

/// Client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MutualTlsSecurityScheme {
    /// Human-readable description.
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
    let description = description.optional_text(at);
    let location = location.text(at);
    let name = name.text(at);
    Ok(APIKeySecurityScheme { description: description?, location: location?, name: name? })
}

fn read_http(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<HTTPAuthSecurityScheme> {
    let [description, scheme, format] = object(raw, at, ["description", "scheme", "bearerFormat"])?;
    let description = description.optional_text(at);
    let scheme = scheme.text(at);
    let format = format.optional_text(at);
    Ok(HTTPAuthSecurityScheme {
        description: description?,
        scheme: scheme?,
        bearer_format: format?,
    })
}

fn read_oauth2(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<OAuth2SecurityScheme> {
    let [description, flows, metadata] =
        object(raw, at, ["description", "flows", "oauth2MetadataUrl"])?;
    let description = description.optional_text(at);
    let flows = flows.optional(at, read_flows).map(Option::flatten);
    let metadata = metadata.optional_text(at);
    Ok(OAuth2SecurityScheme {
        description: description?,
        flows: flows?,
        oauth2_metadata_url: metadata?,
    })
}

fn read_oidc(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<OpenIdConnectSecurityScheme> {
    let [description, url] = object(raw, at, ["description", "openIdConnectUrl"])?;
    let description = description.optional_text(at);
    let url = url.text(at);
    Ok(OpenIdConnectSecurityScheme { description: description?, open_id_connect_url: url? })
}

fn read_mtls(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<MutualTlsSecurityScheme> {
    let [description] = object(raw, at, ["description"])?;
    Ok(MutualTlsSecurityScheme { description: description.optional_text(at)? })
}

/// OAuth flow for obtaining tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OAuthFlows {
    /// Authorization code flow.
    AuthorizationCode(AuthorizationCodeOAuthFlow),
    /// Client credentials flow.
    ClientCredentials(ClientCredentialsOAuthFlow),
    /// Implicit flow; deprecated.
    Implicit(ImplicitOAuthFlow),
    /// Password flow; deprecated.
    Password(PasswordOAuthFlow),
    /// Device code flow (RFC 8628).
    DeviceCode(DeviceCodeOAuthFlow),
}

/// Authorization code flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationCodeOAuthFlow {
    /// Authorization URL, opened by the user.
    pub authorization_url: String,
    /// Token URL.
    pub token_url: String,
    /// Refresh URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes with their descriptions.
    pub scopes: BTreeMap<String, String>,
    /// Set if PKCE (RFC 7636) is required.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pkce_required: bool,
}

/// Client credentials flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsOAuthFlow {
    /// Token URL.
    pub token_url: String,
    /// Refresh URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes with their descriptions.
    pub scopes: BTreeMap<String, String>,
}

/// Implicit flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImplicitOAuthFlow {
    /// Authorization URL, opened by the user.
    pub authorization_url: String,
    /// Refresh URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes with their descriptions.
    pub scopes: BTreeMap<String, String>,
}

/// Password flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordOAuthFlow {
    /// Token URL.
    pub token_url: String,
    /// Refresh URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes with their descriptions.
    pub scopes: BTreeMap<String, String>,
}

/// Device code flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCodeOAuthFlow {
    /// Device authorization URL.
    pub device_authorization_url: String,
    /// Token URL.
    pub token_url: String,
    /// Refresh URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Scopes with their descriptions.
    pub scopes: BTreeMap<String, String>,
}

/// Reads an OAuth flow; `None` for an unknown kind.
pub(crate) fn read_flows(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<OAuthFlows>> {
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
    // Several flows violate the protocol; deprecated ones are used last.
    Ok(code.or(client).or(device).or(implicit).or(password))
}

/// Members of all flows; each flow takes its own.
struct FlowMembers {
    authorization_url: String,
    device_authorization_url: String,
    token_url: String,
    refresh_url: Option<String>,
    scopes: BTreeMap<String, String>,
    pkce_required: bool,
}

fn read_common(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<FlowMembers> {
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
    let refresh = refresh.optional_text(at);
    let scopes = scopes.map(at, scalar::text);
    let pkce = pkce.flag(at);
    Ok(FlowMembers {
        authorization_url: authorization?,
        device_authorization_url: device?,
        token_url: token?,
        refresh_url: refresh?,
        scopes: scopes?,
        pkce_required: pkce?,
    })
}

fn read_code(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AuthorizationCodeOAuthFlow> {
    let FlowMembers { authorization_url, token_url, refresh_url, scopes, pkce_required, .. } =
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
    let FlowMembers { token_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(ClientCredentialsOAuthFlow { token_url, refresh_url, scopes })
}

fn read_implicit(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ImplicitOAuthFlow> {
    let FlowMembers { authorization_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(ImplicitOAuthFlow { authorization_url, refresh_url, scopes })
}

fn read_password(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PasswordOAuthFlow> {
    let FlowMembers { token_url, refresh_url, scopes, .. } = read_common(raw, at)?;
    Ok(PasswordOAuthFlow { token_url, refresh_url, scopes })
}

fn read_device(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<DeviceCodeOAuthFlow> {
    let FlowMembers { device_authorization_url, token_url, refresh_url, scopes, .. } =
        read_common(raw, at)?;
    Ok(DeviceCodeOAuthFlow { device_authorization_url, token_url, refresh_url, scopes })
}
