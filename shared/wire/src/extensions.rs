//! Extension negotiation (A2A 3.2.6, 4.6). A client names extensions in a header, and the response
//! lists those in effect. Longhaul's own extensions are recognized here; an agent's take effect
//! once the agent is known. Unknown extensions are ignored. A request without the header allocates
//! nothing.

use longhaul_domain::extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION};
use std::sync::{Arc, OnceLock};

/// Header that lists requested extensions, and active ones in a response.
pub const EXTENSIONS_HEADER: &str = "A2A-Extensions";
/// Earlier name of the same header.
pub const LEGACY_EXTENSIONS_HEADER: &str = "X-A2A-Extensions";

/// Extensions that one request activates. Clones share state: activating an agent's extensions on
/// one activates them on all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Set for the resume extension: streams carry cursors.
    pub resume: bool,
    /// Set for the durability extension: run reports appear in task metadata.
    pub durability: bool,
    /// Other requested extensions; `None` if there are none.
    others: Option<Arc<ForeignExtensions>>,
}

#[derive(Debug, PartialEq, Eq)]
struct ForeignExtensions {
    /// Requested URIs as the client wrote them, without duplicates.
    named: Vec<String>,
    /// Requested URIs that the agent declares, once the agent is known.
    active: OnceLock<Vec<String>>,
}

impl Extensions {
    /// No extensions.
    pub const NONE: Self = Self { resume: false, durability: false, others: None };

    /// Reads header values: lists of URIs, separated by commas.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut read = Self::NONE;
        let mut named: Vec<String> = Vec::new();
        for uri in values.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
            match uri {
                RESUME_EXTENSION => read.resume = true,
                DURABILITY_EXTENSION => read.durability = true,
                // HTTP lists may have empty items.
                "" => {}
                // Bounded, since the client controls the header and the list is searched linearly.
                other
                    if named.len() < MAX_FOREIGN_EXTENSIONS
                        && !named.iter().any(|uri| uri == other) =>
                {
                    named.push(other.to_owned());
                }
                _ => {}
            }
        }
        if !named.is_empty() {
            read.others = Some(Arc::new(ForeignExtensions { named, active: OnceLock::new() }));
        }
        read
    }

    /// Tells if the client requests extensions other than Longhaul's own.
    pub const fn names_agent_extensions(&self) -> bool {
        self.others.is_some()
    }

    /// Tells if the client requests this extension.
    pub fn names(&self, uri: &str) -> bool {
        match uri {
            RESUME_EXTENSION => self.resume,
            DURABILITY_EXTENSION => self.durability,
            _ => self.others.iter().flat_map(|others| &others.named).any(|named| named == uri),
        }
    }

    /// Activates the extensions that the agent declares. Only the first call has an effect: one
    /// agent serves a request.
    pub fn activate(&self, declared: &[Extension]) {
        if let Some(others) = &self.others {
            // Later calls are no-ops: the response must not mix the extensions of two agents.
            others.active.get_or_init(|| {
                let known = |uri: &&String| declared.iter().any(|known| known.uri == **uri);
                others.named.iter().filter(known).cloned().collect()
            });
        }
    }

    /// Agent extensions in effect.
    pub fn agent_extensions(&self) -> &[String] {
        let active = self.others.as_ref().and_then(|others| others.active.get());
        active.map_or(&[], Vec::as_slice)
    }

    /// Header value for the response; `None` if no extension is in effect.
    pub fn value(&self) -> Option<String> {
        let own = [(self.resume, RESUME_EXTENSION), (self.durability, DURABILITY_EXTENSION)];
        let own = own.into_iter().filter(|(on, _)| *on).map(|(_, uri)| uri);
        let active: Vec<&str> =
            own.chain(self.agent_extensions().iter().map(String::as_str)).collect();
        (!active.is_empty()).then(|| active.join(", "))
    }
}

/// Maximum number of agent extensions per request; further ones are ignored.
const MAX_FOREIGN_EXTENSIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_extensions_are_echoed_and_others_are_not() {
        let read = Extensions::read(["urn:other:v1,  urn:longhaul:a2a:durability:v1 ", ""]);
        assert!(read.durability && !read.resume && read.names_agent_extensions());
        assert_eq!(read.value().as_deref(), Some(DURABILITY_EXTENSION));
        let both = Extensions::read([RESUME_EXTENSION, DURABILITY_EXTENSION]);
        assert_eq!(both.value().unwrap(), format!("{RESUME_EXTENSION}, {DURABILITY_EXTENSION}"));
        assert_eq!(Extensions::read(["urn:other:v1"]).value(), None);
        assert_eq!(Extensions::read([" , "]), Extensions::NONE);
    }

    #[test]
    fn agent_extensions_take_effect_once_the_agent_is_known() {
        let read = Extensions::read(["urn:b:v1,urn:a:v1", "urn:b:v1, urn:a:v2"]);
        let echoing = read.clone();
        assert_eq!(echoing.value(), None);
        read.activate(&[Extension::new("urn:a:v1"), Extension::new("urn:b:v1")]);
        assert_eq!(echoing.value().as_deref(), Some("urn:b:v1, urn:a:v1"));
        read.activate(&[Extension::new("urn:a:v2")]);
        assert_eq!(echoing.agent_extensions(), ["urn:b:v1", "urn:a:v1"]);
        assert!(read.names("urn:a:v2") && !read.names("urn:a:v3") && !read.names(RESUME_EXTENSION));
    }

    #[test]
    fn a_long_list_of_extensions_is_truncated() {
        let many: Vec<String> = (0..1_000).map(|n| format!("urn:{n}")).collect();
        let read = Extensions::read([many.join(",").as_str(), DURABILITY_EXTENSION]);
        assert!(read.durability && read.names("urn:63") && !read.names("urn:64"));
    }
}
