//! Key files.
//!
//! Reading is bounded in time and size, whatever the path names: a pipe is not waited for, and no
//! more bytes are read than a key needs. Errors and warnings never show the content.

use longhaul_signing::KeyError;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Largest key file, in bytes: more than any key needs.
const MAX_KEY_FILE_BYTES: u64 = 64 << 10;
/// Permission bits of users other than the owner and the group.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// The kinds of file that a key may be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Regular files only: a service reads its keys again at each start.
    File,
    /// Any file, such as a pipe that a shell passes to a command.
    Any,
}

/// The text of a key file.
#[derive(Debug)]
pub struct KeyFile {
    /// The content.
    pub text: String,
    /// A warning about its permissions, as a clause about "it".
    pub warning: Option<String>,
}

/// Reads a key file. The error is a clause about "it".
pub fn read(path: &Path, source: KeySource) -> Result<KeyFile, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    // Checked before the file is opened, because opening a pipe blocks until it has a writer.
    if source == KeySource::File && !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // Pipes belong to the shell that made them; their permissions say nothing.
    let others = if metadata.is_file() { metadata.permissions().mode() } else { 0 };
    if others & OTHERS_WRITE != 0 {
        return Err(format!(
            "everybody on this machine can write to it, so that nobody knows whose key it is; chmod o-w {} takes that away, if \
             the key is still yours",
            path.display()
        ));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too large.
    file.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(format!("it holds more than {MAX_KEY_FILE_BYTES} bytes, which no key needs"));
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
    fn a_world_readable_private_key_is_read_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let public = PrivateKey::from_pem(&pem()).unwrap().public().to_pem().unwrap();
        for (mode, text, warned) in [
            (0o600, pem(), false),
            (0o640, pem(), false),
            (0o644, pem(), true),
            (0o644, public, false),
        ] {
            let read = read(&file(&folder, mode, &text), KeySource::File).unwrap();
            assert_eq!(read.text, text);
            assert_eq!(read.warning.is_some(), warned, "{mode:o}");
            assert!(read.warning.is_none_or(|warning| warning.contains("chmod o-r /")));
        }
    }

    #[test]
    fn a_world_writable_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o666, 0o602] {
            for source in [KeySource::File, KeySource::Any] {
                let error = read(&file(&folder, mode, &pem()), source).unwrap_err();
                assert!(error.contains("chmod o-w /"), "{error}");
            }
        }
    }

    #[test]
    fn a_service_reads_regular_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = read(path, KeySource::File).unwrap_err();
            assert_eq!(error, "it is not a regular file", "{}", path.display());
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(file(&folder, 0o600, &pem()), &link).unwrap();
        assert_eq!(read(&link, KeySource::File).unwrap().text, pem());
    }

    #[test]
    fn the_size_of_a_key_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(Path::new("/dev/zero"), KeySource::Any).unwrap_err();
        assert!(error.contains("65536 bytes"), "{error}");
        let padded = |length: usize| " ".repeat(length);
        assert!(read(&file(&folder, 0o600, &padded(65_536)), KeySource::File).is_ok());
        assert!(read(&file(&folder, 0o600, &padded(65_537)), KeySource::File).is_err());
    }
}
