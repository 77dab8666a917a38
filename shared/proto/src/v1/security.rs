//! How to authenticate, as a card says it (A2A 4.5).

use crate::{
    pb::v1::{self as pb, o_auth_flows::Flow, security_scheme::Scheme},
    write,
};
use longhaul_wire::v1::card::{OAuthFlows, SecurityRequirement, SecurityScheme};
use std::collections::BTreeMap;

pub(crate) fn requirements(requirements: &[SecurityRequirement]) -> Vec<pb::SecurityRequirement> {
    let one = |requirement: &SecurityRequirement| {
        let schemes = requirement.schemes.iter();
        let schemes = schemes
            .map(|(name, scopes)| (name.clone(), pb::StringList { list: scopes.list.clone() }));
        pb::SecurityRequirement { schemes: schemes.collect() }
    };
    requirements.iter().map(one).collect()
}

pub(crate) fn schemes(
    schemes: &BTreeMap<String, SecurityScheme>,
) -> BTreeMap<String, pb::SecurityScheme> {
    let one = |scheme| pb::SecurityScheme { scheme: Some(kind(scheme)) };
    schemes.iter().map(|(name, scheme)| (name.clone(), one(scheme))).collect()
}

fn kind(scheme: &SecurityScheme) -> Scheme {
    match scheme {
        SecurityScheme::ApiKey(key) => Scheme::ApiKeySecurityScheme(pb::ApiKeySecurityScheme {
            description: write::text(key.description.as_ref()),
            location: key.location.clone(),
            name: key.name.clone(),
        }),
        SecurityScheme::HttpAuth(http) => {
            Scheme::HttpAuthSecurityScheme(pb::HttpAuthSecurityScheme {
                description: write::text(http.description.as_ref()),
                scheme: http.scheme.clone(),
                bearer_format: write::text(http.bearer_format.as_ref()),
            })
        }
        SecurityScheme::OAuth2(oauth2) => Scheme::Oauth2SecurityScheme(pb::OAuth2SecurityScheme {
            description: write::text(oauth2.description.as_ref()),
            flows: oauth2.flows.as_ref().map(|f| pb::OAuthFlows { flow: Some(flow(f)) }),
            oauth2_metadata_url: write::text(oauth2.oauth2_metadata_url.as_ref()),
        }),
        SecurityScheme::OpenIdConnect(oidc) => {
            Scheme::OpenIdConnectSecurityScheme(pb::OpenIdConnectSecurityScheme {
                description: write::text(oidc.description.as_ref()),
                open_id_connect_url: oidc.open_id_connect_url.clone(),
            })
        }
        SecurityScheme::MutualTls(mtls) => {
            let description = write::text(mtls.description.as_ref());
            Scheme::MtlsSecurityScheme(pb::MutualTlsSecurityScheme { description })
        }
    }
}

#[expect(deprecated, reason = "cards may hold flows that the protocol advises against")]
fn flow(flow: &OAuthFlows) -> Flow {
    match flow {
        OAuthFlows::AuthorizationCode(flow) => {
            Flow::AuthorizationCode(pb::AuthorizationCodeOAuthFlow {
                authorization_url: flow.authorization_url.clone(),
                token_url: flow.token_url.clone(),
                refresh_url: write::text(flow.refresh_url.as_ref()),
                scopes: flow.scopes.clone(),
                pkce_required: flow.pkce_required,
            })
        }
        OAuthFlows::ClientCredentials(flow) => {
            Flow::ClientCredentials(pb::ClientCredentialsOAuthFlow {
                token_url: flow.token_url.clone(),
                refresh_url: write::text(flow.refresh_url.as_ref()),
                scopes: flow.scopes.clone(),
            })
        }
        OAuthFlows::Implicit(flow) => Flow::Implicit(pb::ImplicitOAuthFlow {
            authorization_url: flow.authorization_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
        OAuthFlows::Password(flow) => Flow::Password(pb::PasswordOAuthFlow {
            token_url: flow.token_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
        OAuthFlows::DeviceCode(flow) => Flow::DeviceCode(pb::DeviceCodeOAuthFlow {
            device_authorization_url: flow.device_authorization_url.clone(),
            token_url: flow.token_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
    }
}
