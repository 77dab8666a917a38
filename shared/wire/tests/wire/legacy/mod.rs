//! Dialects before 1.0.

mod bad_input;
mod card;
mod errors;
mod files;
mod fold;
mod frames;
mod golden;
mod lossy;
mod negotiation;
mod peer_json;
mod round_trip;
mod tolerances;

use longhaul_wire::{Dialect, v0::LegacyForm, write::to_vec};
use serde::Serialize;
use serde_json::value::RawValue;

/// Dialects with their forms.
pub const LEGACY: [(Dialect, LegacyForm); 3] = [
    (Dialect::V0_3, LegacyForm::V0_3),
    (Dialect::V0_3Proto, LegacyForm::V0_3Proto),
    (Dialect::V0_1, LegacyForm::V0_1),
];

pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    text(&String::from_utf8(to_vec(value).unwrap()).unwrap())
}

pub fn text(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}
