//! The folder of `--output`.
//!
//! A server chooses names, not places: every file stands directly in the folder, and no existing
//! file is overwritten.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Longest file name, in bytes.
const MAX_NAME_BYTES: usize = 150;
/// Most files with one name, told apart by numbers.
const MAX_SAME_NAMES: u32 = 10_000;

/// A folder for artifacts.
#[derive(Debug, Clone)]
pub struct OutputFolder(PathBuf);

impl OutputFolder {
    /// Opens the folder; creates it if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Saves bytes in a new file; returns its path. The name is made safe and unique.
    pub fn save(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let (mut file, path) = self.create(name)?;
        file.write_all(bytes)?;
        Ok(path)
    }

    /// Creates an empty file. The name is made safe and unique.
    pub fn create(&self, name: &str) -> io::Result<(File, PathBuf)> {
        let name = safe_name(name);
        for number in 1..MAX_SAME_NAMES {
            let path = self.0.join(numbered(&name, number));
            // `create_new` fails on an existing file or link, so that nothing is overwritten.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of one name"))
    }
}

/// Returns the last element of a path, without characters that would hide or misplace the file.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| if c.is_control() || ":*?\"<>|".contains(c) { '_' } else { c };
    // Leading dots hide files, or name the folder and its parent.
    let name: String = last.trim_start_matches('.').trim().chars().map(safe).collect();
    let end = name
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MAX_NAME_BYTES);
    let name = &name[..end.last().unwrap_or_default()];
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, end))) if !stem.is_empty() => format!("{stem}-{number}.{end}"),
        _ => format!("{name}-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_in_the_folder_under_any_name() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\a\\b.txt", "b.txt"),
            ("..", "file"),
            (".bashrc", "bashrc"),
            ("a\u{0}b\n.txt", "a_b_.txt"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(name), expected);
        }
        assert!(safe_name(&"ä".repeat(500)).len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn files_are_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let folder = OutputFolder::open(&place.path().join("new")).unwrap();
        let first = folder.save("a.txt", b"1").unwrap();
        let second = folder.save("a.txt", b"2").unwrap();
        assert_eq!(second.file_name().unwrap(), "a-2.txt");
        assert_eq!(std::fs::read(first).unwrap(), b"1");
    }
}
