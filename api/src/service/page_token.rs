//! Page tokens: where the next page begins, bound to the filter of the list (A2A 3.1.4). Opaque to clients. A token of another
//! list, a damaged or a guessed one is refused by its digest. The digest has no key, so whoever computes it can write a token of
//! their own; all that it leads to is another place in the list of their own tasks, with a total that they chose.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use longhaul_domain::{AgentName, ContextId, TaskId, Timestamp};
use longhaul_store::{ListCursor, ListQuery};
use sha2::{Digest, Sha256};
use std::ops::Range;
use uuid::Uuid;

/// Bytes of a token: digest, time, task, total.
const LENGTH: usize = DIGEST + PLACE;
const DIGEST: usize = 8;
const PLACE: usize = 8 + 16 + 8;

/// Times that a task may have, in milliseconds since 1970: up to the end of the year 9999, which every store can hold.
const TIMES: Range<i64> = 0..253_402_300_800_000;

/// Writes a token for the list of a query.
pub fn write(query: &ListQuery, cursor: &ListCursor) -> String {
    let mut place = Vec::with_capacity(PLACE);
    place.extend(cursor.status_at.timestamp_millis().to_be_bytes());
    place.extend(cursor.task.uuid().as_bytes());
    place.extend(cursor.total.to_be_bytes());
    let mut token = digest(query, &place).to_vec();
    token.extend(place);
    URL_SAFE_NO_PAD.encode(token)
}

/// Reads a token for the list of a query; `None` where it does not belong to it.
pub fn read(query: &ListQuery, token: &str) -> Option<ListCursor> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (given, place) = bytes.split_at(DIGEST);
    if given != digest(query, place) {
        return None;
    }
    let number =
        |from: usize| Some(u64::from_be_bytes(place.get(from..from + 8)?.try_into().ok()?));
    let millis = number(0)?.cast_signed();
    if !TIMES.contains(&millis) {
        return None;
    }
    let status_at = Timestamp::from_timestamp_millis(millis)?;
    let task = TaskId::new(Uuid::from_slice(place.get(8..24)?).ok()?);
    Some(ListCursor { status_at, task, total: number(24)? })
}

/// Of what a list is about, and of a place in it. The same on every node of whatever version: a page may come from one and be
/// followed by that of another.
fn digest(query: &ListQuery, place: &[u8]) -> [u8; DIGEST] {
    let agent = query.agent.as_ref().map(AgentName::as_str);
    let context = query.context.as_ref().map(ContextId::as_str);
    let state = query.state.map(|state| state.number().to_be_bytes());
    let from = query.status_from.map(|time| time.timestamp_micros().to_be_bytes());
    let owner = query.owner.0.to_be_bytes();
    let mut hash = Sha256::new_with_prefix(b"longhaul:page:1");
    let members = [
        Some(owner.as_slice()),
        agent.map(str::as_bytes),
        context.map(str::as_bytes),
        state.as_ref().map(<[u8; _]>::as_slice),
        from.as_ref().map(<[u8; _]>::as_slice),
        Some(place),
    ];
    for member in members {
        // What is not there is told from what is empty, and where one ends from where the next begins.
        hash.update([u8::from(member.is_some())]);
        let bytes = member.unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let whole: [u8; 32] = hash.finalize().into();
    let mut short = [0; DIGEST];
    short.copy_from_slice(&whole[..DIGEST]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{OwnerId, TaskState};
    use longhaul_store::SnapshotOptions;

    fn query() -> ListQuery {
        ListQuery {
            owner: OwnerId(1),
            agent: None,
            context: None,
            state: None,
            status_from: None,
            after: None,
            page_size: 10,
            options: SnapshotOptions::STATUS,
        }
    }

    #[test]
    fn a_token_leads_back_to_its_place_in_its_own_list_only() {
        let cursor = ListCursor {
            status_at: Timestamp::from_timestamp_millis(1_700_000_000_123).unwrap(),
            task: TaskId::new(Uuid::from_u128(5)),
            total: 77,
        };
        let token = write(&query(), &cursor);
        assert_eq!(read(&query(), &token), Some(cursor));
        let other = ListQuery { state: Some(TaskState::Working), ..query() };
        assert_eq!(read(&other, &token), None);
        let stranger = ListQuery { owner: OwnerId(2), ..query() };
        assert_eq!(read(&stranger, &token), None);
    }

    #[test]
    fn a_token_with_a_time_that_no_task_has_is_refused() {
        let task = TaskId::new(Uuid::from_u128(5));
        for millis in [-1, 253_402_300_800_000, -6_000_000_000_000_000] {
            let status_at = Timestamp::from_timestamp_millis(millis).unwrap();
            let token = write(&query(), &ListCursor { status_at, task, total: 1 });
            assert_eq!(read(&query(), &token), None, "{status_at}");
        }
    }

    #[test]
    fn every_byte_of_a_token_counts() {
        let cursor = ListCursor {
            status_at: Timestamp::from_timestamp_millis(1_700_000_000_123).unwrap(),
            task: TaskId::new(Uuid::from_u128(5)),
            total: 77,
        };
        let token = URL_SAFE_NO_PAD.decode(write(&query(), &cursor)).unwrap();
        for index in 0..LENGTH {
            let mut changed = token.clone();
            changed[index] ^= 1;
            assert_eq!(read(&query(), &URL_SAFE_NO_PAD.encode(changed)), None, "byte {index}");
        }
    }

    #[test]
    fn tokens_are_the_same_on_every_node() {
        let query = ListQuery {
            agent: Some(AgentName::new("script").unwrap()),
            state: Some(TaskState::Working),
            status_from: Timestamp::from_timestamp_millis(1_600_000_000_000),
            ..query()
        };
        let cursor = ListCursor {
            status_at: Timestamp::from_timestamp_millis(1_700_000_000_123).unwrap(),
            task: TaskId::new(Uuid::from_u128(5)),
            total: 77,
        };
        assert_eq!(
            write(&query, &cursor),
            "E-HM-tT7T6EAAAGLz-VoewAAAAAAAAAAAAAAAAAAAAUAAAAAAAAATQ"
        );
        let empty = ListQuery { context: ContextId::new("a").ok(), agent: None, ..query.clone() };
        let moved = ListQuery { agent: AgentName::new("a").ok(), context: None, ..query };
        assert_ne!(write(&empty, &cursor), write(&moved, &cursor));
    }

    #[test]
    fn a_token_that_was_made_up_is_refused() {
        for token in ["", "abc", "%%%", &"A".repeat(54)] {
            assert_eq!(read(&query(), token), None, "{token}");
        }
    }
}
