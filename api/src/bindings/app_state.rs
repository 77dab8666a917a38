//! State shared by the handlers of all bindings.

use super::{Addresses, BodyReader, LastModifiedTimes};
use crate::{auth::Authenticator, service::Service};
use longhaul_runtime::Readiness;
use longhaul_wire::Negotiation;
use std::{sync::Arc, time::Duration};

/// State shared by all handlers.
#[derive(Clone)]
pub struct AppState {
    pub service: Arc<Service>,
    pub authenticator: Arc<dyn Authenticator>,
    pub readiness: Readiness,
    pub negotiation: Negotiation,
    pub keep_alive: Duration,
    pub bodies: Arc<BodyReader>,
    /// Chooses the address that a card names.
    pub addresses: Arc<Addresses>,
    /// Times since which cards are unchanged.
    pub last_modified: Arc<LastModifiedTimes>,
}
