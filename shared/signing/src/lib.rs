//! Signatures of agent cards (A2A 8.4): canonical forms, keys, signing and verification.
//!
//! Signatures are deterministic: the same card and key give the same signature on every node and
//! after every restart, so a signed card keeps its `ETag`. Nothing is stored or fetched; the caller
//! provides the keys. Private keys never appear in `Debug` output or errors.

mod algorithm;
mod canonical;
mod card_schema;
mod card_signer;
mod jwk;
mod key;
mod key_ring;
mod signature;
mod signed_form;
mod unambiguous;
mod verify;

pub use algorithm::Algorithm;
pub use canonical::canonicalize;
pub use card_signer::CardSigner;
pub use jwk::{JwksError, TrustedKey, parse_trusted_keys};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use key_ring::KeyRing;
pub use signature::{CardSignature, ProtectedHeader, SIGNATURES_FIELD, SignError};
pub use signed_form::{SignedForm, signing_payload};
pub use unambiguous::{JsonReadError, parse_unambiguous};
pub use verify::{SignatureRejection, SignatureVerification, verify};
