//! Page tokens: the start of the next page, bound to the list's filter (A2A 3.1.4). Opaque to
//! clients.
//!
//! A token of another list, or a damaged or guessed one, fails its digest. The digest has no key,
//! so a client can forge a token; it leads only to another place in the list of its own tasks, with
//! a total of its choice.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use longhaul_domain::{AgentName, ContextId, TaskId, Timestamp};
use longhaul_store::{ListCursor, ListQuery};
use sha2::{Digest, Sha256};
use std::ops::Range;
use uuid::Uuid;

/// Bytes of a token: digest, time, task, total.
const TOKEN_BYTES: usize = DIGEST_BYTES + CURSOR_BYTES;
const DIGEST_BYTES: usize = 8;
const CURSOR_BYTES: usize = 8 + 16 + 8;

/// Valid status times, in milliseconds since 1970: up to the end of the year 9999, which every
/// store can hold.
const VALID_TIMES_MS: Range<i64> = 0..253_402_300_800_000;

/// Encodes a cursor for the list of a query.
pub fn write(query: &ListQuery, cursor: &ListCursor) -> String {
    let mut cursor_bytes = Vec::with_capacity(CURSOR_BYTES);
    cursor_bytes.extend(cursor.status_at.timestamp_millis().to_be_bytes());
    cursor_bytes.extend(cursor.task.uuid().as_bytes());
    cursor_bytes.extend(cursor.total.to_be_bytes());
    let mut token = digest(query, &cursor_bytes).to_vec();
    token.extend(cursor_bytes);
    URL_SAFE_NO_PAD.encode(token)
}

/// Decodes a cursor; `None` when it does not belong to this list.
pub fn read(query: &ListQuery, token: &str) -> Option<ListCursor> {
    let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (given, cursor_bytes) = bytes.split_at(DIGEST_BYTES);
    // Checked before anything in the token is used.
    if given != digest(query, cursor_bytes) {
        return None;
    }
    let number =
        |from: usize| Some(u64::from_be_bytes(cursor_bytes.get(from..from + 8)?.try_into().ok()?));
    let millis = number(0)?.cast_signed();
    if !VALID_TIMES_MS.contains(&millis) {
        return None;
    }
    let status_at = Timestamp::from_timestamp_millis(millis)?;
    let task = TaskId::new(Uuid::from_slice(cursor_bytes.get(8..24)?).ok()?);
    Some(ListCursor { status_at, task, total: number(24)? })
}

/// Digest of the list's filter and the cursor. Stable across releases: pages may come from nodes of
/// different versions.
fn digest(query: &ListQuery, cursor_bytes: &[u8]) -> [u8; DIGEST_BYTES] {
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
        Some(cursor_bytes),
    ];
    for member in members {
        // Separates absent from empty members, and each member from the next.
        hash.update([u8::from(member.is_some())]);
        let bytes = member.unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&full[..DIGEST_BYTES]);
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
    fn a_token_is_valid_in_its_own_list_only() {
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
    fn a_token_with_an_impossible_time_is_refused() {
        let task = TaskId::new(Uuid::from_u128(5));
        for millis in [-1, 253_402_300_800_000, -6_000_000_000_000_000] {
            let status_at = Timestamp::from_timestamp_millis(millis).unwrap();
            let token = write(&query(), &ListCursor { status_at, task, total: 1 });
            assert_eq!(read(&query(), &token), None, "{status_at}");
        }
    }

    #[test]
    fn changing_any_byte_invalidates_a_token() {
        let cursor = ListCursor {
            status_at: Timestamp::from_timestamp_millis(1_700_000_000_123).unwrap(),
            task: TaskId::new(Uuid::from_u128(5)),
            total: 77,
        };
        let token = URL_SAFE_NO_PAD.decode(write(&query(), &cursor)).unwrap();
        for index in 0..TOKEN_BYTES {
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
    fn a_made_up_token_is_refused() {
        for token in ["", "abc", "%%%", &"A".repeat(54)] {
            assert_eq!(read(&query(), token), None, "{token}");
        }
    }
}
