//! Which extensions a request activates (A2A 3.2.6, 4.6): the client names them in a header, the answer names those of them
//! that are in effect. Unknown ones are ignored, as none that we have is required.

use longhaul_domain::extension::{DURABILITY, RESUME};

/// The header in which a client names extensions, and an answer those that are in effect.
pub const HEADER: &str = "A2A-Extensions";
/// The same header, as earlier versions of the protocol write it.
pub const OLD_HEADER: &str = "X-A2A-Extensions";

/// The extensions that a request has activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Resuming streams by cursor.
    pub resume: bool,
    /// Durability: how tasks are run is reported in their metadata.
    pub durability: bool,
}

impl Extensions {
    /// None.
    pub const NONE: Self = Self { resume: false, durability: false };

    /// Reads values of the header: lists of URIs, separated by commas.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut read = Self::NONE;
        for uri in values.into_iter().flat_map(|value| value.split(',')) {
            match uri.trim() {
                RESUME => read.resume = true,
                DURABILITY => read.durability = true,
                _ => {}
            }
        }
        read
    }

    /// The value of the header in the answer; none: nothing is in effect.
    pub fn value(self) -> Option<String> {
        let known = [(self.resume, RESUME), (self.durability, DURABILITY)];
        let active: Vec<&str> = known.into_iter().filter(|(on, _)| *on).map(|(_, u)| u).collect();
        (!active.is_empty()).then(|| active.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_extensions_are_echoed_and_others_are_not() {
        let read = Extensions::read(["urn:other:v1,  urn:longhaul:a2a:durability:v1 ", ""]);
        assert_eq!(read, Extensions { durability: true, resume: false });
        assert_eq!(read.value().as_deref(), Some(DURABILITY));
        let both = Extensions::read([RESUME, DURABILITY]);
        assert_eq!(both.value().unwrap(), format!("{RESUME}, {DURABILITY}"));
        assert_eq!(Extensions::read(["urn:other:v1"]).value(), None);
    }
}
