//! Since when a card is as it is, for `Last-Modified` (A2A 8.6.1): since this node first gave it out like that. No two cards that a
//! node gives out one after the other have the same time. After a restart, and on another node, that is another time, and a client
//! that names it is sent the card again; one that names the `ETag`, which is the same everywhere, is not.

use crate::service::{CardScope, Shape};
use chrono::TimeDelta;
use longhaul_domain::Timestamp;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The cards that were given out, each with its tag and the time since which it has that. There are only as many as agents.
#[derive(Default)]
pub struct Since(Mutex<HashMap<(CardScope, Shape), (String, Timestamp)>>);

impl Since {
    /// The time since which this card has this tag.
    pub fn of(&self, card: (CardScope, Shape), tag: &str, now: Timestamp) -> Timestamp {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, since) = known.entry(card).or_insert_with(|| (tag.to_owned(), now));
        if last != tag {
            tag.clone_into(last);
            // HTTP counts in seconds: two changes within one must not look like none.
            *since = now.max(*since + TimeDelta::seconds(1));
        }
        *since
    }
}

/// As HTTP writes times (RFC 9110, 5.6.7).
pub fn http_date(at: Timestamp) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone, Utc};

    #[test]
    fn a_card_is_as_old_as_its_tag() {
        let since = Since::default();
        let first = Utc.with_ymd_and_hms(2026, 3, 1, 9, 5, 7).unwrap();
        let later = first + TimeDelta::hours(1);
        let card = || (CardScope::Root, Shape::V1_0);
        assert_eq!(since.of(card(), "a", first), first);
        assert_eq!(since.of(card(), "a", later), first);
        assert_eq!(since.of((CardScope::Root, Shape::Any), "a", later), later);
        assert_eq!(since.of(card(), "b", later), later);
        let next = later + TimeDelta::seconds(1);
        assert_eq!(since.of(card(), "c", later + TimeDelta::milliseconds(3)), next);
        assert_eq!(http_date(first), "Sun, 01 Mar 2026 09:05:07 GMT");
    }
}
