//! Encodes notifications: the sender, then compact items, within the 8,000 bytes that Postgres
//! allows.
//!
//! Format: `sender;kind owner.task.rest;…` with `g` for a log that grew (and its last sequence),
//! `c` for a cancel, `m` for a message, `r` for runnable work (and its agent). An unreadable
//! payload comes from another version and means that signals may have been missed.

use super::{channels::NotifyChannel, hub::PendingSignals};
use longhaul_domain::{AgentName, OwnerId, Seq, SignalChannel, TaskId, TaskKey};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Largest payload, in bytes.
const MAX_PAYLOAD_BYTES: usize = 7_900;

/// Encodes all pending signals as pairs of channel and payload.
pub fn encode(sender: u64, pending: &PendingSignals) -> Vec<(String, String)> {
    let mut grown: BTreeMap<SignalChannel, Vec<String>> = BTreeMap::new();
    for (key, seq) in &pending.grown {
        let text = format!("{}.{:x}", item('g', *key), seq.0);
        grown.entry(SignalChannel::for_task(key.task)).or_default().push(text);
    }
    let cancel = pending.cancel.iter().map(|key| item('c', *key));
    let message = pending.message.iter().map(|key| item('m', *key));
    let runnable =
        pending.runnable.iter().map(|(agent, key)| format!("{}.{agent}", item('r', *key)));
    let mut payloads: Vec<_> = grown
        .into_iter()
        .flat_map(|(channel, items)| pack(NotifyChannel::Log(channel), sender, items.into_iter()))
        .collect();
    payloads.extend(pack(NotifyChannel::Control, sender, cancel.chain(message).chain(runnable)));
    payloads
}

fn item(kind: char, key: TaskKey) -> String {
    format!("{kind}{:x}.{}", key.owner.0, key.task.uuid().simple())
}

fn pack(
    channel: NotifyChannel,
    sender: u64,
    items: impl Iterator<Item = String>,
) -> Vec<(String, String)> {
    let mut payloads: Vec<(String, String)> = Vec::new();
    for item in items {
        match payloads.last_mut() {
            // Fill the current payload before starting another.
            Some((_, payload)) if payload.len() + item.len() < MAX_PAYLOAD_BYTES => {
                payload.push(';');
                payload.push_str(&item);
            }
            _ => payloads.push((channel.name(), format!("{sender:016x};{item}"))),
        }
    }
    payloads
}

/// Decodes sender and signals; `None` if the payload is unreadable.
pub fn decode(payload: &str) -> Option<(u64, PendingSignals)> {
    let mut parts = payload.split(';');
    let sender = u64::from_str_radix(parts.next()?, 16).ok()?;
    let mut signals = PendingSignals::default();
    for part in parts {
        let (kind, rest) = part.split_at_checked(1)?;
        let mut fields = rest.split('.');
        let owner = OwnerId(i32::from_str_radix(fields.next()?, 16).ok()?);
        let task = TaskId::new(Uuid::try_parse(fields.next()?).ok()?);
        let key = TaskKey { owner, task };
        match kind {
            "g" => {
                let seq = Seq(i64::from_str_radix(fields.next()?, 16).ok()?);
                signals.grown.insert(key, seq);
            }
            "c" => {
                signals.cancel.insert(key);
            }
            "m" => {
                signals.message.insert(key);
            }
            "r" => {
                signals.runnable.insert(AgentName::new(fields.next()?).ok()?, key);
            }
            _ => return None,
        }
    }
    Some((sender, signals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> TaskKey {
        TaskKey { owner: OwnerId(i32::MAX), task: TaskId::new(Uuid::from_u128(n)) }
    }

    #[test]
    fn pending_signals_are_split_into_payloads_that_fit() {
        let pending = PendingSignals {
            grown: (0..1_000).map(|n| (key(n), Seq(i64::MAX))).collect(),
            cancel: (0..300).map(key).collect(),
            message: (0..300).map(key).collect(),
            runnable: (0..300)
                .map(|n| (AgentName::new(format!("{n:060}")).unwrap(), key(n)))
                .collect(),
        };
        let payloads = encode(u64::MAX, &pending);
        let mut heard = PendingSignals::default();
        for (channel, payload) in &payloads {
            assert!(payload.len() < 8_000);
            if payload.contains(";g") {
                let (_, signals) = decode(payload).unwrap();
                let task = signals.grown.keys().next().unwrap().task;
                assert_eq!(*channel, NotifyChannel::Log(SignalChannel::for_task(task)).name());
            }
            let (sender, signals) = decode(payload).unwrap();
            assert_eq!(sender, u64::MAX);
            heard.merge(signals);
        }
        assert_eq!(heard, pending);
        let control =
            payloads.iter().filter(|(channel, _)| *channel == NotifyChannel::Control.name());
        assert!(control.count() < 15);
    }

    #[test]
    fn tasks_of_one_node_share_notifications() {
        let made = |n: u128| key((n << 10) | 7);
        let grown = (0..100).map(|n| (made(n), Seq(2))).collect();
        let payloads = encode(1, &PendingSignals { grown, ..PendingSignals::default() });
        assert_eq!(payloads.len(), 1);
    }

    #[test]
    fn an_unreadable_payload_is_none() {
        for payload in ["", "x", "0;z1.0", "0;g1", "0;g1.nonsense.1", "0;r1", "0;ä"] {
            assert_eq!(decode(payload), None, "{payload}");
        }
    }
}
