//! Anything that goes to a client as a result.

use super::{
    Cx, LegacyForm,
    card::{CombinedCard, LegacyCard},
    event::Frame,
};
use crate::ResultPayload;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Writes an output in the shape of a form.
pub(crate) fn serialize<S: Serializer>(
    cx: Cx<'_>,
    output: ResultPayload<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match output {
        ResultPayload::Send(outcome) => cx.of(outcome).serialize(serializer),
        ResultPayload::Task(task) => cx.of(task).serialize(serializer),
        ResultPayload::Page(page) => cx.of(page).serialize(serializer),
        ResultPayload::Event(event) => {
            Frame { cx, event, cursor: None, index: 0 }.serialize(serializer)
        }
        ResultPayload::EventAt(event, seq) => {
            Frame { cx, event, cursor: Some(seq), index: 0 }.serialize(serializer)
        }
        ResultPayload::Push(config) => cx.of(config).serialize(serializer),
        ResultPayload::PushList(list) => cx.of(list).serialize(serializer),
        // Over HTTP some read `ProtoJSON` and others the shape of JSON-RPC: this one is both.
        ResultPayload::Card(card) if cx.form == LegacyForm::V0_3Proto => {
            CombinedCard(card).serialize(serializer)
        }
        ResultPayload::Card(card) => LegacyCard(card).serialize(serializer),
        ResultPayload::Empty => match cx.form {
            LegacyForm::V0_3Proto => serializer.serialize_map(Some(0))?.end(),
            LegacyForm::V0_3 | LegacyForm::V0_1 => serializer.serialize_unit(),
        },
    }
}
