//! Which extensions a request activates (A2A 3.2.6, 4.6): the client names them in a header, the answer names those of them
//! that are in effect. Those of Longhaul are known here; those of an agent once it is known which agent does the request.
//! Unknown ones are ignored.
//!
//! A request without the header costs nothing.

use longhaul_domain::extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION};
use std::sync::{Arc, OnceLock};

/// The header in which a client names extensions, and an answer those that are in effect.
pub const HEADER: &str = "A2A-Extensions";
/// The same header, as earlier versions of the protocol write it.
pub const OLD_HEADER: &str = "X-A2A-Extensions";

/// The extensions that a request has activated. Clones are the same request: what one learns of the agent, all know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Resuming streams by cursor.
    pub resume: bool,
    /// Durability: how tasks are run is reported in their metadata.
    pub durability: bool,
    /// What else the client names; none: nothing.
    others: Option<Arc<Others>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Others {
    /// As the client wrote them, each once.
    named: Vec<String>,
    /// Those of them that the agent declares, once that is known.
    active: OnceLock<Vec<String>>,
}

impl Extensions {
    /// None.
    pub const NONE: Self = Self { resume: false, durability: false, others: None };

    /// Reads values of the header: lists of URIs, separated by commas.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut read = Self::NONE;
        let mut named: Vec<String> = Vec::new();
        for uri in values.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
            match uri {
                RESUME_EXTENSION => read.resume = true,
                DURABILITY_EXTENSION => read.durability = true,
                "" => {}
                other if named.len() < MOST && !named.iter().any(|uri| uri == other) => {
                    named.push(other.to_owned());
                }
                _ => {}
            }
        }
        if !named.is_empty() {
            read.others = Some(Arc::new(Others { named, active: OnceLock::new() }));
        }
        read
    }

    /// Whether the client names extensions that only an agent can know.
    pub const fn names_agent_extensions(&self) -> bool {
        self.others.is_some()
    }

    /// Whether the client names this extension.
    pub fn names(&self, uri: &str) -> bool {
        match uri {
            RESUME_EXTENSION => self.resume,
            DURABILITY_EXTENSION => self.durability,
            _ => self.others.iter().flat_map(|others| &others.named).any(|named| named == uri),
        }
    }

    /// Activates those that the agent declares. The first agent counts: a request is done by one.
    pub fn activate(&self, declared: &[Extension]) {
        if let Some(others) = &self.others {
            others.active.get_or_init(|| {
                let known = |uri: &&String| declared.iter().any(|known| known.uri == **uri);
                others.named.iter().filter(known).cloned().collect()
            });
        }
    }

    /// Those of the agent that are in effect.
    pub fn agent_extensions(&self) -> &[String] {
        let active = self.others.as_ref().and_then(|others| others.active.get());
        active.map_or(&[], Vec::as_slice)
    }

    /// The value of the header in the answer; none: nothing is in effect.
    pub fn value(&self) -> Option<String> {
        let own = [(self.resume, RESUME_EXTENSION), (self.durability, DURABILITY_EXTENSION)];
        let own = own.into_iter().filter(|(on, _)| *on).map(|(_, uri)| uri);
        let active: Vec<&str> =
            own.chain(self.agent_extensions().iter().map(String::as_str)).collect();
        (!active.is_empty()).then(|| active.join(", "))
    }
}

/// How many extensions of agents a request may name; further ones are ignored.
const MOST: usize = 64;

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
    fn those_of_the_agent_are_in_effect_when_it_is_known() {
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
    fn a_long_list_is_cut() {
        let many: Vec<String> = (0..1_000).map(|n| format!("urn:{n}")).collect();
        let read = Extensions::read([many.join(",").as_str(), DURABILITY_EXTENSION]);
        assert!(read.durability && read.names("urn:63") && !read.names("urn:64"));
    }
}
