//! Files that hold keys.
//!
//! A file that is no file of a key ends the reading of it soon: it is not waited for, and not read beyond what a key needs.
//! Nothing of what it holds is in an error or a warning.

use longhaul_signing::KeyError;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// More than any key needs, in bytes.
const LARGEST: u64 = 64 << 10;
/// The permission bits of others than the owner and the group.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// What a key may be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A regular file, as services need: it is there at the next start too.
    File,
    /// A pipe too, as people give to commands.
    Any,
}

/// The text of a key file.
#[derive(Debug)]
pub struct KeyFile {
    /// What it holds.
    pub text: String,
    /// What its owner should see to, as a clause about "it".
    pub warning: Option<String>,
}

/// Reads a key file. The error is a clause about "it".
pub fn read(path: &Path, source: Source) -> Result<KeyFile, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    // Before it is opened: opening a pipe waits for somebody to write to it.
    if source == Source::File && !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let others = if about.is_file() { about.permissions().mode() } else { 0 };
    if others & OTHERS_WRITE != 0 {
        return Err(format!(
            "everybody on this machine can write to it, so that nobody knows whose key it is; chmod o-w {} takes that away, if \
             the key is still yours",
            path.display()
        ));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it holds more than {LARGEST} bytes, which no key needs"));
    }
    let text = String::from_utf8(bytes).map_err(|_| KeyError::NoPem.to_string())?;
    let exposed = others & OTHERS_READ != 0 && text.contains("PRIVATE KEY-----");
    let warning = exposed.then(|| {
        format!(
            "everybody on this machine can read the private key in it; chmod o-r {} takes that away",
            path.display()
        )
    });
    Ok(KeyFile { text, warning })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::{Algorithm, PrivateKey};
    use std::{fs::Permissions, path::PathBuf};
    use tempfile::TempDir;

    fn pem() -> String {
        PrivateKey::generate(Algorithm::EdDsa, || [1; 32]).to_pem().unwrap()
    }

    fn file(folder: &TempDir, mode: u32, text: &str) -> PathBuf {
        let path = folder.path().join("key.pem");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_private_key_that_everybody_can_read_is_taken_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let public = PrivateKey::from_pem(&pem()).unwrap().public().to_pem().unwrap();
        for (mode, text, warned) in [
            (0o600, pem(), false),
            (0o640, pem(), false),
            (0o644, pem(), true),
            (0o644, public, false),
        ] {
            let read = read(&file(&folder, mode, &text), Source::File).unwrap();
            assert_eq!(read.text, text);
            assert_eq!(read.warning.is_some(), warned, "{mode:o}");
            assert!(read.warning.is_none_or(|warning| warning.contains("chmod o-r /")));
        }
    }

    #[test]
    fn a_key_that_everybody_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o666, 0o602] {
            for source in [Source::File, Source::Any] {
                let error = read(&file(&folder, mode, &pem()), source).unwrap_err();
                assert!(error.contains("chmod o-w /"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_read_by_a_service() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = read(path, Source::File).unwrap_err();
            assert_eq!(error, "it is not a regular file", "{}", path.display());
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(file(&folder, 0o600, &pem()), &link).unwrap();
        assert_eq!(read(&link, Source::File).unwrap().text, pem());
    }

    #[test]
    fn nothing_is_read_beyond_what_a_key_needs() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(Path::new("/dev/zero"), Source::Any).unwrap_err();
        assert!(error.contains("65536 bytes"), "{error}");
        let padded = |length: usize| " ".repeat(length);
        assert!(read(&file(&folder, 0o600, &padded(65_536)), Source::File).is_ok());
        assert!(read(&file(&folder, 0o600, &padded(65_537)), Source::File).is_err());
    }
}
