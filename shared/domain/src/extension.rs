//! URIs of the A2A extensions that Longhaul defines (A2A 4.6).

/// Resuming a stream by cursor. Where a binding has no event id, the cursor stands in event metadata under this URI.
pub const RESUME: &str = "urn:longhaul:a2a:resume:v1";

/// Durability: attempts, failure causes and scheduling, in metadata under this URI.
pub const DURABILITY: &str = "urn:longhaul:a2a:durability:v1";
