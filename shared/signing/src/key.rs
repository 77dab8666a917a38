//! Private and public keys, and their PEM encoding.

use crate::Algorithm;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::pkcs8::KeypairBytes;
use p256::{
    ecdsa::signature::{Signer, Verifier},
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding},
};
use sha2::{Digest, Sha256};
use std::fmt;

/// Length of a signature of either algorithm, in bytes.
const SIGNATURE_BYTES: usize = 64;

/// The error of an unusable key. Never shows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text holds no PEM.
    #[error(
        "it holds no PEM; a private key begins with -----BEGIN PRIVATE KEY-----, and `longhaul card key new` makes one"
    )]
    NoPem,
    /// The PEM holds no PKCS#8 key.
    #[error(
        "it is no PKCS#8 key; `openssl pkcs8 -topk8 -nocrypt` turns other private keys into one, and `longhaul card key new` makes one"
    )]
    OtherPem,
    /// The key is encrypted.
    #[error("it is encrypted; `openssl pkcs8` decrypts it")]
    Encrypted,
    /// The key is public, and a private one is required.
    #[error("it is a public key, which cannot sign")]
    Public,
    /// The key is invalid or of another algorithm.
    #[error("it is neither a P-256 (ES256) nor an Ed25519 (EdDSA) key")]
    Unsupported,
    /// The key cannot be encoded.
    #[error("the key cannot be written as PEM")]
    Unwritable,
}

/// A signing key. The secret is not shown by `Debug` and is wiped from memory on drop.
#[derive(Clone)]
pub struct PrivateKey(Private);

#[derive(Clone)]
enum Private {
    Es256(p256::ecdsa::SigningKey),
    EdDsa(ed25519_dalek::SigningKey),
}

/// A verification key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Es256(p256::ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
}

impl PrivateKey {
    /// Generates a key. `random` returns 32 unguessable bytes, fresh ones at each call.
    pub fn generate(algorithm: Algorithm, mut random: impl FnMut() -> [u8; 32]) -> Self {
        match algorithm {
            Algorithm::EdDsa => {
                Self(Private::EdDsa(ed25519_dalek::SigningKey::from_bytes(&random())))
            }
            // About one draw in 2^32 is not below the order of the curve: draw again.
            Algorithm::Es256 => loop {
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random()) {
                    return Self(Private::Es256(key));
                }
            },
        }
    }

    /// Parses a PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        match pem_label(pem)? {
            "PRIVATE KEY" => {}
            "PUBLIC KEY" => return Err(KeyError::Public),
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            _ => return Err(KeyError::OtherPem),
        }
        let pem = pem.trim();
        // PKCS#8 names its algorithm: at most one of the two parsers accepts the text.
        let es256 = || p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Private::Es256);
        let eddsa = || ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(Private::EdDsa);
        es256().or_else(|_| eddsa()).map(Self).map_err(|_| KeyError::Unsupported)
    }

    /// Encodes the key, secret included, as PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.0 {
            Private::Es256(key) => p256::SecretKey::from(key).to_pkcs8_pem(LineEnding::LF),
            // Leave out the public key: some readers reject it.
            Private::EdDsa(key) => KeypairBytes { secret_key: key.to_bytes(), public_key: None }
                .to_pkcs8_pem(LineEnding::LF),
        };
        pem.map(|pem| pem.to_string()).map_err(|_| KeyError::Unwritable)
    }

    /// The corresponding verification key.
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::Es256(key) => Public::Es256(*key.verifying_key()),
            Private::EdDsa(key) => Public::EdDsa(key.verifying_key()),
        })
    }

    /// Signs in JWS form: for ES256, both numbers concatenated (RFC 7518 section 3.4).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        match &self.0 {
            Private::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
            Private::EdDsa(key) => key.sign(message).to_bytes(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public()).finish()
    }
}

impl PublicKey {
    /// Parses the PEM of a public key, or takes the public key of a private one.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem_label(pem)? != "PUBLIC KEY" {
            return PrivateKey::from_pem(pem).map(|key| key.public());
        }
        let pem = pem.trim();
        let es256 = || p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Public::Es256);
        let eddsa = || ed25519_dalek::VerifyingKey::from_public_key_pem(pem).map(Public::EdDsa);
        es256().or_else(|_| eddsa()).map(Self).map_err(|_| KeyError::Unsupported)
    }

    /// Encodes the key as PEM.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.0 {
            Public::Es256(key) => p256::PublicKey::from(key).to_public_key_pem(LineEnding::LF),
            Public::EdDsa(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(|_| KeyError::Unwritable)
    }

    /// The algorithm of the signatures that it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Public::Es256(_) => Algorithm::Es256,
            Public::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The thumbprint (RFC 7638), used as key id.
    pub fn thumbprint(&self) -> String {
        // `coordinates` lists the members in the lexical order that RFC 7638 requires.
        let members: Vec<String> = self
            .coordinates()
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        BASE64.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// The JWK members that define the key (RFC 7518 section 6.2, RFC 8037 section 2).
    pub(crate) fn coordinates(&self) -> Vec<(&'static str, String)> {
        match &self.0 {
            Public::Es256(key) => {
                let point = key.to_sec1_point(false);
                // Uncompressed point: a tag byte, then both coordinates of 32 bytes each.
                let (x, y) = point.as_bytes()[1..].split_at(32);
                let (x, y) = (BASE64.encode(x), BASE64.encode(y));
                vec![("crv", "P-256".to_owned()), ("kty", "EC".to_owned()), ("x", x), ("y", y)]
            }
            Public::EdDsa(key) => {
                let x = BASE64.encode(key.as_bytes());
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", x)]
            }
        }
    }

    /// Creates a key from the members of a JWK.
    pub(crate) fn from_coordinates(kty: &str, crv: &str, x: &str, y: Option<&str>) -> Option<Self> {
        let bytes = |text: &str| -> Option<[u8; 32]> { BASE64.decode(text).ok()?.try_into().ok() };
        match (kty, crv) {
            ("EC", "P-256") => {
                // SEC 1 form: the tag 4 for an uncompressed point, then both coordinates.
                let point = [[4].as_slice(), &bytes(x)?, &bytes(y?)?].concat();
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok().map(Public::Es256).map(Self)
            }
            ("OKP", "Ed25519") => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes(x)?).ok()?;
                // Reject weak keys: any signature verifies under them.
                (!key.is_weak()).then_some(Self(Public::EdDsa(key)))
            }
            _ => None,
        }
    }

    /// Tells whether the signature of the message is valid.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Public::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                // Strict: `verify` would accept weak keys and points of small order.
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.thumbprint())
    }
}

/// The label of the first PEM block.
fn pem_label(pem: &str) -> Result<&str, KeyError> {
    let begin = pem.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN "));
    begin.and_then(|rest| rest.strip_suffix("-----")).ok_or(KeyError::NoPem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn test_key(algorithm: Algorithm) -> PrivateKey {
        PrivateKey::generate(algorithm, || [7; 32])
    }

    #[test]
    fn a_key_survives_its_pem() {
        for algorithm in Algorithm::ALL {
            let key = test_key(algorithm);
            let pem = key.to_pem().unwrap();
            assert_eq!(PrivateKey::from_pem(&pem).unwrap().public(), key.public());
            let public = key.public().to_pem().unwrap();
            assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
            assert_eq!(PublicKey::from_pem(&pem).unwrap(), key.public());
            assert_eq!(key.public().algorithm(), algorithm);
        }
    }

    #[test]
    fn signatures_are_deterministic_and_verify_only_the_signed_message() {
        for algorithm in Algorithm::ALL {
            let key = test_key(algorithm);
            let signature = key.sign(b"a card");
            assert_eq!(signature, key.sign(b"a card"));
            assert!(key.public().verifies(b"a card", &signature));
            assert!(!key.public().verifies(b"another", &signature));
            assert!(!key.public().verifies(b"a card", &signature[1..]));
            let other = PrivateKey::generate(algorithm, || [8; 32]);
            assert!(!other.public().verifies(b"a card", &signature));
        }
    }

    #[test]
    fn the_thumbprint_matches_the_sample_of_the_rfc() {
        // RFC 8037, appendix A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = PublicKey::from_coordinates("OKP", "Ed25519", x, None).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn an_unusable_key_is_an_error_with_advice() {
        let public = test_key(Algorithm::Es256).public().to_pem().unwrap();
        let rsa = "-----BEGIN PRIVATE KEY-----\nMIICdg==\n-----END PRIVATE KEY-----\n";
        for (text, error) in [
            ("hello", KeyError::NoPem),
            ("-----BEGIN EC PRIVATE KEY-----\n", KeyError::OtherPem),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", KeyError::Encrypted),
            (rsa, KeyError::Unsupported),
            (public.as_str(), KeyError::Public),
        ] {
            assert_eq!(PrivateKey::from_pem(text).unwrap_err(), error);
        }
    }

    #[test]
    fn debug_output_of_a_private_key_hides_its_secret() {
        let key = test_key(Algorithm::EdDsa);
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.public().thumbprint()), "{shown}");
        assert!(!shown.contains(&BASE64.encode([7; 32])) && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn weak_and_invalid_keys_are_rejected() {
        let zero = BASE64.encode([0; 32]);
        assert_eq!(PublicKey::from_coordinates("OKP", "Ed25519", &zero, None), None);
        assert_eq!(PublicKey::from_coordinates("EC", "P-256", &zero, Some(&zero)), None);
        assert_eq!(PublicKey::from_coordinates("RSA", "P-256", &zero, Some(&zero)), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(
            text in "[A-Za-z0-9+/=\\n]{0,200}|\\PC{0,80}",
            label in "(PUBLIC |PRIVATE |EC )?KEY",
        ) {
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            for text in [&text, &pem] {
                let _ = (PrivateKey::from_pem(text).is_ok(), PublicKey::from_pem(text).is_ok());
                let _ = crate::parse_trusted_keys(text.as_bytes()).is_ok();
            }
        }
    }
}
