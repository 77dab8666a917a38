//! The fields of a 1.0 card (A2A 4.4.1 to 4.4.6, 4.5), as far as the canonical form depends on them: which there are,
//! and which are written although they hold their default (A2A 5.7, 8.4.1).

/// When a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Always.
    Required,
    /// When it is set, be it to its default.
    Explicit,
    /// When it is set to something else than its default.
    Implicit,
}

/// What a field holds.
#[derive(Debug)]
pub enum Shape {
    /// Text.
    Text,
    /// True or false.
    Flag,
    /// Any JSON object, kept as it is.
    Struct,
    /// An object with these fields.
    Message(&'static [Field]),
    /// A list of them.
    List(&'static Shape),
    /// They, by name.
    Map(&'static Shape),
}

/// A field: its name in JSON, when it is written, and what it holds.
#[derive(Debug)]
pub struct Field(pub &'static str, pub Presence, pub &'static Shape);

use Presence::{Explicit, Implicit, Required};
use Shape::{Flag, List, Map, Message, Struct, Text};

const TEXTS: &Shape = &List(&Text);

/// `AgentCard`, without its signatures.
pub const CARD: &Shape = &Message(&[
    Field("name", Required, &Text),
    Field("description", Required, &Text),
    Field("supportedInterfaces", Required, &List(INTERFACE)),
    Field("provider", Implicit, PROVIDER),
    Field("version", Required, &Text),
    Field("documentationUrl", Explicit, &Text),
    Field("capabilities", Required, CAPABILITIES),
    Field("securitySchemes", Implicit, &Map(SCHEME)),
    Field("securityRequirements", Implicit, REQUIREMENTS),
    Field("defaultInputModes", Required, TEXTS),
    Field("defaultOutputModes", Required, TEXTS),
    Field("skills", Required, &List(SKILL)),
    Field("iconUrl", Explicit, &Text),
]);

const INTERFACE: &Shape = &Message(&[
    Field("url", Required, &Text),
    Field("protocolBinding", Required, &Text),
    Field("tenant", Implicit, &Text),
    Field("protocolVersion", Required, &Text),
]);

const PROVIDER: &Shape =
    &Message(&[Field("url", Required, &Text), Field("organization", Required, &Text)]);

const CAPABILITIES: &Shape = &Message(&[
    Field("streaming", Explicit, &Flag),
    Field("pushNotifications", Explicit, &Flag),
    Field("extensions", Implicit, &List(EXTENSION)),
    Field("extendedAgentCard", Explicit, &Flag),
]);

const EXTENSION: &Shape = &Message(&[
    Field("uri", Implicit, &Text),
    Field("description", Implicit, &Text),
    Field("required", Implicit, &Flag),
    Field("params", Implicit, &Struct),
]);

const SKILL: &Shape = &Message(&[
    Field("id", Required, &Text),
    Field("name", Required, &Text),
    Field("description", Required, &Text),
    Field("tags", Required, TEXTS),
    Field("examples", Implicit, TEXTS),
    Field("inputModes", Implicit, TEXTS),
    Field("outputModes", Implicit, TEXTS),
    Field("securityRequirements", Implicit, REQUIREMENTS),
]);

const REQUIREMENTS: &Shape = &List(&Message(&[Field(
    "schemes",
    Implicit,
    &Map(&Message(&[Field("list", Implicit, TEXTS)])),
)]));

const SCHEME: &Shape = &Message(&[
    Field(
        "apiKeySecurityScheme",
        Explicit,
        &Message(&[
            Field("description", Implicit, &Text),
            Field("location", Required, &Text),
            Field("name", Required, &Text),
        ]),
    ),
    Field(
        "httpAuthSecurityScheme",
        Explicit,
        &Message(&[
            Field("description", Implicit, &Text),
            Field("scheme", Required, &Text),
            Field("bearerFormat", Implicit, &Text),
        ]),
    ),
    Field(
        "oauth2SecurityScheme",
        Explicit,
        &Message(&[
            Field("description", Implicit, &Text),
            Field("flows", Required, FLOWS),
            Field("oauth2MetadataUrl", Implicit, &Text),
        ]),
    ),
    Field(
        "openIdConnectSecurityScheme",
        Explicit,
        &Message(&[
            Field("description", Implicit, &Text),
            Field("openIdConnectUrl", Required, &Text),
        ]),
    ),
    Field("mtlsSecurityScheme", Explicit, &Message(&[Field("description", Implicit, &Text)])),
]);

const SCOPES: &Shape = &Map(&Text);

const FLOWS: &Shape = &Message(&[
    Field(
        "authorizationCode",
        Explicit,
        &Message(&[
            Field("authorizationUrl", Required, &Text),
            Field("tokenUrl", Required, &Text),
            Field("refreshUrl", Implicit, &Text),
            Field("scopes", Required, SCOPES),
            Field("pkceRequired", Implicit, &Flag),
        ]),
    ),
    Field(
        "clientCredentials",
        Explicit,
        &Message(&[
            Field("tokenUrl", Required, &Text),
            Field("refreshUrl", Implicit, &Text),
            Field("scopes", Required, SCOPES),
        ]),
    ),
    Field(
        "implicit",
        Explicit,
        &Message(&[
            Field("authorizationUrl", Implicit, &Text),
            Field("refreshUrl", Implicit, &Text),
            Field("scopes", Implicit, SCOPES),
        ]),
    ),
    Field(
        "password",
        Explicit,
        &Message(&[
            Field("tokenUrl", Implicit, &Text),
            Field("refreshUrl", Implicit, &Text),
            Field("scopes", Implicit, SCOPES),
        ]),
    ),
    Field(
        "deviceCode",
        Explicit,
        &Message(&[
            Field("deviceAuthorizationUrl", Required, &Text),
            Field("tokenUrl", Required, &Text),
            Field("refreshUrl", Implicit, &Text),
            Field("scopes", Required, SCOPES),
        ]),
    ),
]);
