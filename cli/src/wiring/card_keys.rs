//! Keys that sign agent cards, from the files that the settings name.

use super::key_file::{self, KeyFile, KeySource};
use crate::exit::CommandError;
use longhaul_runtime::Settings;
use longhaul_signing::{CardSigner, KeyError, KeyRing, PrivateKey, PublicKey};
use std::{path::Path, sync::Arc};

/// Reads the configured keys; `None` if there are none. An unreadable or invalid file is wrong
/// usage, and is named.
pub fn key_ring(settings: &Settings) -> Result<Option<KeyRing>, CommandError> {
    let cards = &settings.cards;
    let signing = read_keys("signing_keys", &cards.signing_keys, PrivateKey::from_pem)?;
    let published = read_keys("published_keys", &cards.published_keys, PublicKey::from_pem)?;
    if signing.is_empty() && published.is_empty() {
        return Ok(None);
    }
    // The first key signs. The others are published, for cards that clients still cache.
    let others: Vec<PublicKey> =
        signing.iter().skip(1).map(PrivateKey::public).chain(published).collect();
    Ok(Some(KeyRing::new(signing.into_iter().next(), others)))
}

/// Returns warnings about the key files' permissions. Unreadable files are left to [`key_ring`].
pub fn key_warnings(settings: &Settings) -> Vec<String> {
    let cards = &settings.cards;
    let lists = [("signing_keys", &cards.signing_keys), ("published_keys", &cards.published_keys)];
    let mut warnings = Vec::new();
    for (name, paths) in lists {
        for (at, path) in paths.iter().enumerate() {
            let read = key_file::read(Path::new(path), KeySource::File);
            let warning = read.ok().and_then(|file: KeyFile| file.warning);
            warnings.extend(warning.map(|warning| key_message(name, at, path, &warning)));
        }
    }
    warnings
}

/// Creates the signer of a node's cards; logs warnings about the key files.
pub fn signer(settings: &Settings) -> Result<Option<Arc<CardSigner>>, CommandError> {
    let ring = key_ring(settings)?;
    for warning in key_warnings(settings) {
        tracing::warn!("{warning}");
    }
    Ok(ring.map(|ring| Arc::new(CardSigner::new(ring, settings.cards.jku.clone()))))
}

fn read_keys<T>(
    name: &str,
    paths: &[String],
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<Vec<T>, CommandError> {
    let invalid = |at: usize, path: &str, problem: &str| {
        CommandError::usage(format!("configuration: {}", key_message(name, at, path, problem)))
    };
    let read = |(at, path): (usize, &String)| {
        let file = key_file::read(Path::new(path), KeySource::File);
        let file = file.map_err(|problem| invalid(at, path, &problem))?;
        parse(&file.text).map_err(|error| invalid(at, path, &error.to_string()))
    };
    paths.iter().enumerate().map(read).collect()
}

fn key_message(name: &str, at: usize, path: &str, sentence: &str) -> String {
    format!("cards.{name}[{at}]: {path}: {sentence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::Algorithm;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };
    use tempfile::TempDir;

    struct KeyFiles {
        folder: TempDir,
        settings: Settings,
    }

    impl KeyFiles {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), settings: Settings::default() }
        }

        fn file(&self, name: &str, text: &str) -> String {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::generate(Algorithm::EdDsa, || [seed; 32])
    }

    #[test]
    fn the_first_key_signs_and_all_are_published() {
        let mut keys = KeyFiles::new();
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
        assert!(signer(&Settings::default()).unwrap().is_none());
    }

    #[test]
    fn an_invalid_key_file_is_named_with_a_remedy() {
        let public = key(1).public().to_pem().unwrap();
        for (text, part) in [("hello", "longhaul card key new"), (&public, "public key")] {
            let mut keys = KeyFiles::new();
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

    #[test]
    fn a_key_file_that_others_can_read_is_named_with_a_remedy() {
        let mut keys = KeyFiles::new();
        let pem = key(1).to_pem().unwrap();
        let [closed, open] = ["closed", "open"].map(|name| keys.file(name, &pem));
        fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
        keys.settings.cards.signing_keys = vec![closed, open.clone()];
        assert!(key_ring(&keys.settings).unwrap().is_some());
        let [warning] = &key_warnings(&keys.settings)[..] else { panic!("one warning") };
        assert!(warning.starts_with(&format!("cards.signing_keys[1]: {open}: ")), "{warning}");
        assert!(warning.contains("chmod o-r"), "{warning}");
    }
}
