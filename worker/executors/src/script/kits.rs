//! Behaviours that conformance kits expect of an agent, by what their messages look like. Each kit is one function that knows its own
//! messages and no other's; the first that answers wins.

use super::Plan;
use longhaul_domain::Message;

/// Knows the messages of one kit.
type Kit = fn(&Message) -> Option<Plan>;

/// Every kit that is known.
const KITS: &[Kit] = &[];

/// What a kit expects for this message, if it is one of a kit's.
pub(super) fn plan_for(message: &Message) -> Option<Plan> {
    KITS.iter().find_map(|kit| kit(message))
}
