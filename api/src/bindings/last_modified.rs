//! `Last-Modified` of cards (A2A 8.6.1): the time when this node first served a card in its current
//! form.
//!
//! Successive forms served by a node have different times. Other nodes, and this one after a
//! restart, have other times; a client that names one of those is sent the card again. The `ETag`
//! is the same everywhere.

use super::card_format::CardFormat;
use crate::service::CardScope;
use chrono::TimeDelta;
use longhaul_domain::Timestamp;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Served cards, each with its tag and the time of its last change; at most one per agent and
/// format.
#[derive(Default)]
pub struct LastModifiedTimes(Mutex<HashMap<(CardScope, CardFormat), (String, Timestamp)>>);

impl LastModifiedTimes {
    /// Time since which this card has this tag.
    pub fn time_of(&self, card: (CardScope, CardFormat), tag: &str, now: Timestamp) -> Timestamp {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, since) = known.entry(card).or_insert_with(|| (tag.to_owned(), now));
        if last != tag {
            tag.clone_into(last);
            // HTTP times have whole seconds; two changes within one must still differ.
            *since = now.max(*since + TimeDelta::seconds(1));
        }
        *since
    }
}

/// A time in HTTP format (RFC 9110, 5.6.7).
pub fn http_date(at: Timestamp) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone, Utc};

    #[test]
    fn a_card_is_as_old_as_its_tag() {
        let since = LastModifiedTimes::default();
        let first = Utc.with_ymd_and_hms(2026, 3, 1, 9, 5, 7).unwrap();
        let later = first + TimeDelta::hours(1);
        let card = || (CardScope::Root, CardFormat::V1_0);
        assert_eq!(since.time_of(card(), "a", first), first);
        assert_eq!(since.time_of(card(), "a", later), first);
        assert_eq!(since.time_of((CardScope::Root, CardFormat::Any), "a", later), later);
        assert_eq!(since.time_of(card(), "b", later), later);
        let next = later + TimeDelta::seconds(1);
        assert_eq!(since.time_of(card(), "c", later + TimeDelta::milliseconds(3)), next);
        assert_eq!(http_date(first), "Sun, 01 Mar 2026 09:05:07 GMT");
    }
}
