//! The text of a notification: who sent it, then items as short as they can be, under the 8,000 bytes that Postgres allows.
//!
//! `sender;kind owner.task.rest;…` with `g` for a log that grew (and its last seq), `c` for a cancel, `m` for a message, `r` for
//! something to run (and its agent). What cannot be read comes from another version and means that something may have been
//! missed.

use super::{Waiting, interest::Channel};
use longhaul_domain::{AgentName, OwnerId, Seq, SignalChannel, TaskId, TaskKey};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Bytes of one payload at most.
const LIMIT: usize = 7_900;

/// Channel and payload of everything that waits.
pub fn encode(sender: u64, waiting: &Waiting) -> Vec<(String, String)> {
    let mut grown: BTreeMap<SignalChannel, Vec<String>> = BTreeMap::new();
    for (key, seq) in &waiting.grown {
        let text = format!("{}.{:x}", item('g', *key), seq.0);
        grown.entry(SignalChannel::for_task(key.task)).or_default().push(text);
    }
    let cancel = waiting.cancel.iter().map(|key| item('c', *key));
    let message = waiting.message.iter().map(|key| item('m', *key));
    let runnable =
        waiting.runnable.iter().map(|(agent, key)| format!("{}.{agent}", item('r', *key)));
    let mut payloads: Vec<_> = grown
        .into_iter()
        .flat_map(|(channel, items)| pack(Channel::Log(channel), sender, items.into_iter()))
        .collect();
    payloads.extend(pack(Channel::Control, sender, cancel.chain(message).chain(runnable)));
    payloads
}

fn item(kind: char, key: TaskKey) -> String {
    format!("{kind}{:x}.{}", key.owner.0, key.task.uuid().simple())
}

fn pack(
    channel: Channel,
    sender: u64,
    items: impl Iterator<Item = String>,
) -> Vec<(String, String)> {
    let mut payloads: Vec<(String, String)> = Vec::new();
    for item in items {
        match payloads.last_mut() {
            Some((_, payload)) if payload.len() + item.len() < LIMIT => {
                payload.push(';');
                payload.push_str(&item);
            }
            _ => payloads.push((channel.name(), format!("{sender:016x};{item}"))),
        }
    }
    payloads
}

/// Who sent it and what it says; `None` when it cannot be read.
pub fn decode(payload: &str) -> Option<(u64, Waiting)> {
    let mut parts = payload.split(';');
    let sender = u64::from_str_radix(parts.next()?, 16).ok()?;
    let mut told = Waiting::default();
    for part in parts {
        let (kind, rest) = part.split_at_checked(1)?;
        let mut fields = rest.split('.');
        let owner = OwnerId(i32::from_str_radix(fields.next()?, 16).ok()?);
        let task = TaskId::new(Uuid::try_parse(fields.next()?).ok()?);
        let key = TaskKey { owner, task };
        match kind {
            "g" => {
                let seq = Seq(i64::from_str_radix(fields.next()?, 16).ok()?);
                told.grown.insert(key, seq);
            }
            "c" => {
                told.cancel.insert(key);
            }
            "m" => {
                told.message.insert(key);
            }
            "r" => {
                told.runnable.insert(AgentName::new(fields.next()?).ok()?, key);
            }
            _ => return None,
        }
    }
    Some((sender, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> TaskKey {
        TaskKey { owner: OwnerId(i32::MAX), task: TaskId::new(Uuid::from_u128(n)) }
    }

    #[test]
    fn everything_that_waits_arrives_in_pieces_that_fit() {
        let waiting = Waiting {
            grown: (0..1_000).map(|n| (key(n), Seq(i64::MAX))).collect(),
            cancel: (0..300).map(key).collect(),
            message: (0..300).map(key).collect(),
            runnable: (0..300)
                .map(|n| (AgentName::new(format!("{n:060}")).unwrap(), key(n)))
                .collect(),
        };
        let payloads = encode(u64::MAX, &waiting);
        let mut heard = Waiting::default();
        for (channel, payload) in &payloads {
            assert!(payload.len() < 8_000);
            if payload.contains(";g") {
                let (_, told) = decode(payload).unwrap();
                let task = told.grown.keys().next().unwrap().task;
                assert_eq!(*channel, Channel::Log(SignalChannel::for_task(task)).name());
            }
            let (sender, told) = decode(payload).unwrap();
            assert_eq!(sender, u64::MAX);
            heard.merge(told);
        }
        assert_eq!(heard, waiting);
        let control = payloads.iter().filter(|(channel, _)| *channel == Channel::Control.name());
        assert!(control.count() < 15);
    }

    #[test]
    fn tasks_of_one_node_share_notifications() {
        let made = |n: u128| key((n << 10) | 7);
        let grown = (0..100).map(|n| (made(n), Seq(2))).collect();
        let payloads = encode(1, &Waiting { grown, ..Waiting::default() });
        assert_eq!(payloads.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for payload in ["", "x", "0;z1.0", "0;g1", "0;g1.nonsense.1", "0;r1", "0;ä"] {
            assert_eq!(decode(payload), None, "{payload}");
        }
    }
}
