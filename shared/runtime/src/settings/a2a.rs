//! `[a2a]`, and the choices of `[cards]`: which versions of the protocol are served, and what cards say of it.

use serde::{Deserialize, Serialize};

use super::{
    kind::{Holds, Kind},
    schema::section,
};

section! {
    /// `[a2a]`: which versions of the protocol are served beside 1.0.
    A2aSettings {
        /// Serve A2A 0.3, and name it on cards. Off: cards are those of 1.0 alone.
        serve_0_3: bool = true;
        /// Serve the methods of A2A 0.1.
        serve_0_1: bool = true;
    }
}

/// How cards give the address of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcAddress {
    /// `http://host:port`.
    #[default]
    Url,
    /// `host:port`.
    HostPort,
    /// Not at all.
    Off,
}

impl Holds for GrpcAddress {
    const KIND: Kind = Kind::OneOf(&["url", "host-port", "off"]);
}

/// For whom there are extended cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtendedCards {
    /// For callers who showed who they are, of agents whose extended card says more than the public one.
    #[default]
    Authenticated,
    /// For every caller, of every agent.
    Always,
    /// For nobody.
    Off,
}

impl Holds for ExtendedCards {
    const KIND: Kind = Kind::OneOf(&["authenticated", "always", "off"]);
}
