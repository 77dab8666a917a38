//! Active extensions are those that the client requests and the agent declares, whatever the header
//! looks like.

use longhaul_domain::extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION};
use longhaul_wire::Extensions;
use proptest::prelude::*;

proptest! {
    #[test]
    fn active_extensions_are_requested_and_declared(
        values in prop::collection::vec("[ab, ]{0,12}|urn:longhaul:a2a:(resume|durability):v1", 0..4),
        declared in prop::collection::btree_set("[ab]{1,3}", 0..6),
    ) {
        let declared: Vec<Extension> = declared.into_iter().map(Extension::new).collect();
        let read = Extensions::read(values.iter().map(String::as_str));
        read.activate(&declared);
        let named = |uri: &str| values.iter().any(|value| value.split(',').any(|one| one.trim() == uri));
        for Extension { uri, .. } in &declared {
            prop_assert_eq!(read.agent_extensions().contains(uri), named(uri));
            prop_assert_eq!(read.names(uri), named(uri));
        }
        prop_assert_eq!((read.resume, read.durability), (named(RESUME_EXTENSION), named(DURABILITY_EXTENSION)));
        // Reading the response header as a request yields the same extensions.
        let shown = read.value().unwrap_or_default();
        let again = Extensions::read([shown.as_str()]);
        again.activate(&declared);
        prop_assert_eq!(again.value().unwrap_or_default(), shown);
    }

    #[test]
    fn any_header_is_read(value in "\\PC{0,200}") {
        let read = Extensions::read([value.as_str()]);
        prop_assert_eq!(read.value(), None);
    }
}
