//! Signatures of agent cards (A2A 8.4): the canonical form of a card, keys, signatures, and what they prove.
//!
//! The same card and the same key give the same signature, on every node and after every restart, so a signed card keeps
//! its `ETag`. Nothing here is stored and nothing is fetched: a crash costs nothing, and keys come from whoever calls.
//! Private keys show neither in `Debug` nor in errors.

mod algorithm;
mod canonical;
mod form;
mod jwk;
mod key;
mod read;
mod ring;
mod schema;
mod sign;
mod signer;
mod verify;

pub use algorithm::Algorithm;
pub use canonical::canonical;
pub use form::{SignedForm, payload};
pub use jwk::{JwksError, TrustedKey, parse_trusted_keys};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use read::{ReadError, read};
pub use ring::KeyRing;
pub use sign::{CardSignature, ProtectedHeader, SIGNATURES_FIELD, SignError};
pub use signer::CardSigner;
pub use verify::{SignatureRejection, SignatureVerification, verify};
