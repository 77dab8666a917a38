//! Anything that goes to a client as a result.

use super::{
    Cx, Form,
    card::{AnyCard, OldCard},
    event::Frame,
};
use crate::Output;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Writes an output in the shape of a form.
pub(crate) fn serialize<S: Serializer>(
    cx: Cx<'_>,
    output: Output<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match output {
        Output::Send(outcome) => cx.of(outcome).serialize(serializer),
        Output::Task(task) => cx.of(task).serialize(serializer),
        Output::Page(page) => cx.of(page).serialize(serializer),
        Output::Event(event) => Frame { cx, event, cursor: None, index: 0 }.serialize(serializer),
        Output::EventAt(event, seq) => {
            Frame { cx, event, cursor: Some(seq), index: 0 }.serialize(serializer)
        }
        Output::Push(config) => cx.of(config).serialize(serializer),
        Output::PushList(list) => cx.of(list).serialize(serializer),
        // Over HTTP some read `ProtoJSON` and others the shape of JSON-RPC: this one is both.
        Output::Card(card) if cx.form == Form::V0_3Proto => AnyCard(card).serialize(serializer),
        Output::Card(card) => OldCard(card).serialize(serializer),
        Output::Empty => match cx.form {
            Form::V0_3Proto => serializer.serialize_map(Some(0))?.end(),
            Form::V0_3 | Form::V0_1 => serializer.serialize_unit(),
        },
    }
}
