//! Page tokens: where the next page begins, bound to the filter of the list (A2A 3.1.4). Opaque to clients; a token that was
//! made up or belongs to another filter is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use longhaul_domain::{AgentName, ContextId, TaskId, TaskState, Timestamp};
use longhaul_store::{ListCursor, ListQuery};
use sha2::{Digest, Sha256};
use std::ops::Range;
use uuid::Uuid;

/// Bytes of a token: filter, time, task, total.
const LENGTH: usize = 8 + 8 + 16 + 8;

/// Times that a task may have, in milliseconds since 1970: up to the end of the year 9999, which every store can hold.
const TIMES: Range<i64> = 0..253_402_300_800_000;

/// Writes a token for the list of a query.
pub fn write(query: &ListQuery, cursor: &ListCursor) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend(filter(query));
    bytes.extend(cursor.status_at.timestamp_millis().to_be_bytes());
    bytes.extend(cursor.task.uuid().as_bytes());
    bytes.extend(cursor.total.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token for the list of a query; `None` where it does not belong to it.
pub fn read(query: &ListQuery, token: &str) -> Option<ListCursor> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let number =
        |from: usize| Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
    if bytes[..8] != filter(query) {
        return None;
    }
    let millis = number(8)?.cast_signed();
    if !TIMES.contains(&millis) {
        return None;
    }
    let status_at = Timestamp::from_timestamp_millis(millis)?;
    let task = TaskId::new(Uuid::from_slice(&bytes[16..32]).ok()?);
    Some(ListCursor { status_at, task, total: number(32)? })
}

/// What a list is about, without page and place.
fn filter(query: &ListQuery) -> [u8; 8] {
    let agent = query.agent.as_ref().map(AgentName::as_str);
    let context = query.context.as_ref().map(ContextId::as_str);
    let state = query.state.map(TaskState::number);
    let from = query.status_from.map(|t| t.timestamp_micros());
    let text = format!("{:?}", (query.owner, agent, context, state, from));
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::OwnerId;
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
    fn a_token_that_was_made_up_is_refused() {
        for token in ["", "abc", "%%%", &"A".repeat(54)] {
            assert_eq!(read(&query(), token), None, "{token}");
        }
    }
}
