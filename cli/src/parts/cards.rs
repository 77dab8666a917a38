//! From settings to the keys that sign agent cards.

use crate::exit::Failure;
use longhaul_runtime::Settings;
use longhaul_signing::{KeyError, KeyRing, PrivateKey, PublicKey, Signer};
use std::{fs, io, sync::Arc};

/// Where an API node serves its key set.
const KEY_SET: &str = "/.well-known/jwks.json";

/// The keys that the settings name, if they name any. What is wrong with a file is wrong usage, and says which one it is.
pub fn key_ring(settings: &Settings) -> Result<Option<KeyRing>, Failure> {
    let cards = &settings.cards;
    let signing = read_all("signing_keys", &cards.signing_keys, PrivateKey::from_pem)?;
    let published = read_all("published_keys", &cards.published_keys, PublicKey::from_pem)?;
    if signing.is_empty() && published.is_empty() {
        return Ok(None);
    }
    let others: Vec<PublicKey> =
        signing.iter().skip(1).map(PrivateKey::public).chain(published).collect();
    Ok(Some(KeyRing::new(signing.into_iter().next(), others)))
}

/// What signs the cards of a node that clients reach at this URL.
pub fn signer(settings: &Settings, public_url: &str) -> Result<Option<Arc<Signer>>, Failure> {
    let jku = settings.cards.jku.clone().unwrap_or_else(|| format!("{public_url}{KEY_SET}"));
    Ok(key_ring(settings)?.map(|ring| Arc::new(Signer::new(ring, Some(jku)))))
}

fn read_all<T>(
    name: &str,
    paths: &[String],
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<Vec<T>, Failure> {
    let refused = |at: usize, path: &str, problem: String| {
        Failure::usage(format!("configuration: cards.{name}[{at}]: {path}: {problem}"))
    };
    let read = |(at, path): (usize, &String)| {
        let text =
            fs::read_to_string(path).map_err(|error| refused(at, path, unreadable(&error)))?;
        parse(&text).map_err(|error| refused(at, path, error.to_string()))
    };
    paths.iter().enumerate().map(read).collect()
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData => KeyError::NoPem.to_string(),
        _ => format!("it cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::Algorithm;
    use tempfile::TempDir;

    struct Keys {
        folder: TempDir,
        settings: Settings,
    }

    impl Keys {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), settings: Settings::default() }
        }

        fn file(&self, name: &str, text: &str) -> String {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::generate(Algorithm::EdDsa, || [seed; 32])
    }

    #[test]
    fn the_first_key_signs_and_all_are_published() {
        let mut keys = Keys::new();
        keys.settings.cards.signing_keys =
            [1, 2].map(|seed| keys.file(&format!("{seed}"), &key(seed).to_pem().unwrap())).into();
        keys.settings.cards.published_keys =
            vec![keys.file("3", &key(3).public().to_pem().unwrap())];
        let ring = key_ring(&keys.settings).unwrap().unwrap();
        assert_eq!(ring.kid(), Some(key(1).public().thumbprint().as_str()));
        let published: Vec<PublicKey> =
            ring.published().iter().map(|(_, key)| key.clone()).collect();
        assert_eq!(published, [1, 2, 3].map(|seed| key(seed).public()));
    }

    #[test]
    fn without_keys_nothing_is_signed() {
        assert!(signer(&Settings::default(), "http://a").unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_no_key_is_named_with_what_to_do() {
        let public = key(1).public().to_pem().unwrap();
        for (text, part) in [("hello", "longhaul card key new"), (&public, "public key")] {
            let mut keys = Keys::new();
            keys.settings.cards.signing_keys = vec![keys.file("a.pem", text)];
            let error = key_ring(&keys.settings).unwrap_err();
            assert_eq!(error.code(), 2);
            let text = error.to_string();
            assert!(text.contains("cards.signing_keys[0]") && text.contains("a.pem"), "{text}");
            assert!(text.contains(part), "{text}");
        }
        let mut settings = Settings::default();
        settings.cards.published_keys = vec!["/nowhere/b.pem".to_owned()];
        let text = key_ring(&settings).unwrap_err().to_string();
        assert!(text.contains("published_keys[0]: /nowhere/b.pem: it cannot be read"), "{text}");
    }
}
