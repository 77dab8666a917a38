//! `--output`: artifacts, saved in a folder.
//!
//! A server chooses names but not places: whatever it says, files end up directly in the folder, and none that is there
//! is overwritten.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

const LONGEST_NAME: usize = 150;
const MOST_OF_A_NAME: u32 = 10_000;

/// A folder for files.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Saves bytes under a name like this one; gives the path.
    pub fn save(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let (mut file, path) = self.create(name)?;
        file.write_all(bytes)?;
        Ok(path)
    }

    /// Makes an empty file under a name like this one.
    pub fn create(&self, name: &str) -> io::Result<(File, PathBuf)> {
        let name = harmless(name);
        for number in 1..MOST_OF_A_NAME {
            let path = self.0.join(numbered(&name, number));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of one name"))
    }
}

/// The last element of a path, without what would hide or misplace the file.
fn harmless(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| if c.is_control() || ":*?\"<>|".contains(c) { '_' } else { c };
    let name: String = last.trim_start_matches('.').trim().chars().map(safe).collect();
    let end =
        name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST_NAME);
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
    fn a_file_stays_in_the_folder_whatever_its_name_says() {
        for (name, harmless_name) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\a\\b.txt", "b.txt"),
            ("..", "file"),
            (".bashrc", "bashrc"),
            ("a\u{0}b\n.txt", "a_b_.txt"),
            ("", "file"),
        ] {
            assert_eq!(harmless(name), harmless_name);
        }
        assert!(harmless(&"ä".repeat(500)).len() <= LONGEST_NAME);
    }

    #[test]
    fn no_file_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("new")).unwrap();
        let first = folder.save("a.txt", b"1").unwrap();
        let second = folder.save("a.txt", b"2").unwrap();
        assert_eq!(second.file_name().unwrap(), "a-2.txt");
        assert_eq!(std::fs::read(first).unwrap(), b"1");
    }
}
