//! Private and public keys, as PEM.

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
const SIGNATURE_LENGTH: usize = 64;

/// Why a text is no key that can be used here. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM in it.
    #[error(
        "it holds no PEM; a private key begins with -----BEGIN PRIVATE KEY-----, and `longhaul card key new` makes one"
    )]
    NoPem,
    /// It is PEM of something else.
    #[error(
        "it is no PKCS#8 key; `openssl pkcs8 -topk8 -nocrypt` turns other private keys into one, and `longhaul card key new` makes one"
    )]
    OtherPem,
    /// It wants a password.
    #[error("it is encrypted; `openssl pkcs8` decrypts it")]
    Encrypted,
    /// A public key where a private one is needed.
    #[error("it is a public key, which cannot sign")]
    Public,
    /// Broken, or of another algorithm.
    #[error("it is neither a P-256 (ES256) nor an Ed25519 (EdDSA) key")]
    Unsupported,
    /// It could not be written.
    #[error("the key cannot be written as PEM")]
    Unwritable,
}

/// A key that signs. Its secret does not show, and is wiped from memory when the key goes.
#[derive(Clone)]
pub struct PrivateKey(Private);

#[derive(Clone)]
enum Private {
    Es256(p256::ecdsa::SigningKey),
    EdDsa(ed25519_dalek::SigningKey),
}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Es256(p256::ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
}

impl PrivateKey {
    /// Makes a key. `random` gives 32 bytes that nobody can guess, others each time.
    pub fn generate(algorithm: Algorithm, mut random: impl FnMut() -> [u8; 32]) -> Self {
        match algorithm {
            Algorithm::EdDsa => {
                Self(Private::EdDsa(ed25519_dalek::SigningKey::from_bytes(&random())))
            }
            // One draw in four thousand million is no number below the order of the curve.
            Algorithm::Es256 => loop {
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random()) {
                    return Self(Private::Es256(key));
                }
            },
        }
    }

    /// Reads a PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        match label(pem)? {
            "PRIVATE KEY" => {}
            "PUBLIC KEY" => return Err(KeyError::Public),
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            _ => return Err(KeyError::OtherPem),
        }
        let pem = pem.trim();
        let es256 = || p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Private::Es256);
        let eddsa = || ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(Private::EdDsa);
        es256().or_else(|_| eddsa()).map(Self).map_err(|_| KeyError::Unsupported)
    }

    /// Writes it as PKCS#8 PEM: the secret itself.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.0 {
            Private::Es256(key) => p256::SecretKey::from(key).to_pkcs8_pem(LineEnding::LF),
            // Without the public half, which some readers do not expect.
            Private::EdDsa(key) => KeypairBytes { secret_key: key.to_bytes(), public_key: None }
                .to_pkcs8_pem(LineEnding::LF),
        };
        pem.map(|pem| pem.to_string()).map_err(|_| KeyError::Unwritable)
    }

    /// The half that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::Es256(key) => Public::Es256(*key.verifying_key()),
            Private::EdDsa(key) => Public::EdDsa(key.verifying_key()),
        })
    }

    /// The signature as JWS has it: for ES256 both numbers one after the other (RFC 7518 section 3.4).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LENGTH] {
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
    /// Reads the PEM of a public key, or of a private key, whose public half it takes.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if label(pem)? != "PUBLIC KEY" {
            return PrivateKey::from_pem(pem).map(|key| key.public());
        }
        let pem = pem.trim();
        let es256 = || p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Public::Es256);
        let eddsa = || ed25519_dalek::VerifyingKey::from_public_key_pem(pem).map(Public::EdDsa);
        es256().or_else(|_| eddsa()).map(Self).map_err(|_| KeyError::Unsupported)
    }

    /// Writes it as PEM.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.0 {
            Public::Es256(key) => p256::PublicKey::from(key).to_public_key_pem(LineEnding::LF),
            Public::EdDsa(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(|_| KeyError::Unwritable)
    }

    /// What it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Public::Es256(_) => Algorithm::Es256,
            Public::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// Its thumbprint (RFC 7638): the name of a key that has no other.
    pub fn thumbprint(&self) -> String {
        let members: Vec<String> = self
            .coordinates()
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        BASE64.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// The members of a JWK that make up the key, by name (RFC 7518 section 6.2, RFC 8037 section 2).
    pub(crate) fn coordinates(&self) -> Vec<(&'static str, String)> {
        match &self.0 {
            Public::Es256(key) => {
                let point = key.to_sec1_point(false);
                // The first byte says that both coordinates follow, 32 bytes each.
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

    /// From the members of a JWK.
    pub(crate) fn from_coordinates(kty: &str, crv: &str, x: &str, y: Option<&str>) -> Option<Self> {
        let bytes = |text: &str| -> Option<[u8; 32]> { BASE64.decode(text).ok()?.try_into().ok() };
        match (kty, crv) {
            ("EC", "P-256") => {
                let point = [[4].as_slice(), &bytes(x)?, &bytes(y?)?].concat();
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok().map(Public::Es256).map(Self)
            }
            ("OKP", "Ed25519") => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes(x)?).ok()?;
                // Everything verifies under a weak key.
                (!key.is_weak()).then_some(Self(Public::EdDsa(key)))
            }
            _ => None,
        }
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Public::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.thumbprint())
    }
}

/// What the PEM says that it is.
fn label(pem: &str) -> Result<&str, KeyError> {
    let begin = pem.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN "));
    begin.and_then(|rest| rest.strip_suffix("-----")).ok_or(KeyError::NoPem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(algorithm: Algorithm) -> PrivateKey {
        PrivateKey::generate(algorithm, || [7; 32])
    }

    #[test]
    fn a_key_survives_its_pem() {
        for algorithm in Algorithm::ALL {
            let key = made(algorithm);
            let pem = key.to_pem().unwrap();
            assert_eq!(PrivateKey::from_pem(&pem).unwrap().public(), key.public());
            let public = key.public().to_pem().unwrap();
            assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
            assert_eq!(PublicKey::from_pem(&pem).unwrap(), key.public());
            assert_eq!(key.public().algorithm(), algorithm);
        }
    }

    #[test]
    fn a_signature_is_the_same_each_time_and_verifies_only_what_was_signed() {
        for algorithm in Algorithm::ALL {
            let key = made(algorithm);
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
    fn the_thumbprint_is_that_of_the_rfc() {
        // RFC 8037, appendix A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = PublicKey::from_coordinates("OKP", "Ed25519", x, None).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_says_what_to_do() {
        let public = made(Algorithm::Es256).public().to_pem().unwrap();
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
    fn a_private_key_does_not_print_its_secret() {
        let key = made(Algorithm::EdDsa);
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.public().thumbprint()), "{shown}");
        assert!(!shown.contains(&BASE64.encode([7; 32])) && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn a_key_under_which_everything_verifies_is_none() {
        let zero = BASE64.encode([0; 32]);
        assert_eq!(PublicKey::from_coordinates("OKP", "Ed25519", &zero, None), None);
        assert_eq!(PublicKey::from_coordinates("EC", "P-256", &zero, Some(&zero)), None);
        assert_eq!(PublicKey::from_coordinates("RSA", "P-256", &zero, Some(&zero)), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_reason_to_panic(
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
