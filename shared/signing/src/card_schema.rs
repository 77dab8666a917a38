//! The schema of a 1.0 card (A2A 4.4.1 to 4.4.6, 4.5), as far as its canonical form needs it: the
//! fields, and the ones written even if they hold their default (A2A 5.7, 8.4.1).

/// The condition for writing a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Always.
    Required,
    /// Written if set, even to its default.
    Explicit,
    /// Written if set to a value other than its default.
    Implicit,
}

/// The shape of a field's value.
#[derive(Debug)]
pub enum FieldShape {
    /// Text.
    Text,
    /// True or false.
    Flag,
    /// A JSON object, kept unchanged.
    Struct,
    /// An object with these fields.
    Message(&'static [CardField]),
    /// A list of this shape.
    List(&'static FieldShape),
    /// A map from names to this shape.
    Map(&'static FieldShape),
}

/// A field: the name in JSON, the condition for writing it, and the shape of its value.
#[derive(Debug)]
pub struct CardField(pub &'static str, pub Presence, pub &'static FieldShape);

use FieldShape::{Flag, List, Map, Message, Struct, Text};
use Presence::{Explicit, Implicit, Required};

const TEXTS: &FieldShape = &List(&Text);

/// `AgentCard`, without its signatures.
pub const CARD_SCHEMA: &FieldShape = &Message(&[
    CardField("name", Required, &Text),
    CardField("description", Required, &Text),
    CardField("supportedInterfaces", Required, &List(INTERFACE)),
    CardField("provider", Implicit, PROVIDER),
    CardField("version", Required, &Text),
    CardField("documentationUrl", Explicit, &Text),
    CardField("capabilities", Required, CAPABILITIES),
    CardField("securitySchemes", Implicit, &Map(SCHEME)),
    CardField("securityRequirements", Implicit, REQUIREMENTS),
    CardField("defaultInputModes", Required, TEXTS),
    CardField("defaultOutputModes", Required, TEXTS),
    CardField("skills", Required, &List(SKILL)),
    CardField("iconUrl", Explicit, &Text),
]);

const INTERFACE: &FieldShape = &Message(&[
    CardField("url", Required, &Text),
    CardField("protocolBinding", Required, &Text),
    CardField("tenant", Implicit, &Text),
    CardField("protocolVersion", Required, &Text),
]);

const PROVIDER: &FieldShape =
    &Message(&[CardField("url", Required, &Text), CardField("organization", Required, &Text)]);

const CAPABILITIES: &FieldShape = &Message(&[
    CardField("streaming", Explicit, &Flag),
    CardField("pushNotifications", Explicit, &Flag),
    CardField("extensions", Implicit, &List(EXTENSION)),
    CardField("extendedAgentCard", Explicit, &Flag),
]);

const EXTENSION: &FieldShape = &Message(&[
    CardField("uri", Implicit, &Text),
    CardField("description", Implicit, &Text),
    CardField("required", Implicit, &Flag),
    CardField("params", Implicit, &Struct),
]);

const SKILL: &FieldShape = &Message(&[
    CardField("id", Required, &Text),
    CardField("name", Required, &Text),
    CardField("description", Required, &Text),
    CardField("tags", Required, TEXTS),
    CardField("examples", Implicit, TEXTS),
    CardField("inputModes", Implicit, TEXTS),
    CardField("outputModes", Implicit, TEXTS),
    CardField("securityRequirements", Implicit, REQUIREMENTS),
]);

const REQUIREMENTS: &FieldShape = &List(&Message(&[CardField(
    "schemes",
    Implicit,
    &Map(&Message(&[CardField("list", Implicit, TEXTS)])),
)]));

const SCHEME: &FieldShape = &Message(&[
    CardField(
        "apiKeySecurityScheme",
        Explicit,
        &Message(&[
            CardField("description", Implicit, &Text),
            CardField("location", Required, &Text),
            CardField("name", Required, &Text),
        ]),
    ),
    CardField(
        "httpAuthSecurityScheme",
        Explicit,
        &Message(&[
            CardField("description", Implicit, &Text),
            CardField("scheme", Required, &Text),
            CardField("bearerFormat", Implicit, &Text),
        ]),
    ),
    CardField(
        "oauth2SecurityScheme",
        Explicit,
        &Message(&[
            CardField("description", Implicit, &Text),
            CardField("flows", Required, FLOWS),
            CardField("oauth2MetadataUrl", Implicit, &Text),
        ]),
    ),
    CardField(
        "openIdConnectSecurityScheme",
        Explicit,
        &Message(&[
            CardField("description", Implicit, &Text),
            CardField("openIdConnectUrl", Required, &Text),
        ]),
    ),
    CardField(
        "mtlsSecurityScheme",
        Explicit,
        &Message(&[CardField("description", Implicit, &Text)]),
    ),
]);

const SCOPES: &FieldShape = &Map(&Text);

const FLOWS: &FieldShape = &Message(&[
    CardField(
        "authorizationCode",
        Explicit,
        &Message(&[
            CardField("authorizationUrl", Required, &Text),
            CardField("tokenUrl", Required, &Text),
            CardField("refreshUrl", Implicit, &Text),
            CardField("scopes", Required, SCOPES),
            CardField("pkceRequired", Implicit, &Flag),
        ]),
    ),
    CardField(
        "clientCredentials",
        Explicit,
        &Message(&[
            CardField("tokenUrl", Required, &Text),
            CardField("refreshUrl", Implicit, &Text),
            CardField("scopes", Required, SCOPES),
        ]),
    ),
    CardField(
        "implicit",
        Explicit,
        &Message(&[
            CardField("authorizationUrl", Implicit, &Text),
            CardField("refreshUrl", Implicit, &Text),
            CardField("scopes", Implicit, SCOPES),
        ]),
    ),
    CardField(
        "password",
        Explicit,
        &Message(&[
            CardField("tokenUrl", Implicit, &Text),
            CardField("refreshUrl", Implicit, &Text),
            CardField("scopes", Implicit, SCOPES),
        ]),
    ),
    CardField(
        "deviceCode",
        Explicit,
        &Message(&[
            CardField("deviceAuthorizationUrl", Required, &Text),
            CardField("tokenUrl", Required, &Text),
            CardField("refreshUrl", Implicit, &Text),
            CardField("scopes", Required, SCOPES),
        ]),
    ),
]);
