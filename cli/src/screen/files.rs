//! The files that are made of one artifact: its text, its values, and each file in it.
//!
//! Chunks are appended as they come. An artifact that begins anew replaces the files that were made of it, and no others.

use super::save::Folder;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

/// Ends of names by media type, for contents without a name.
const EXTENSIONS: [(&str, &str); 14] = [
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/mpeg", "mp3"),
    ("audio/wav", "wav"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/webp", "webp"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/markdown", "md"),
];

/// A file that grows with the chunks of an artifact. It is open only while a chunk is written: a task may have thousands.
struct GrowingFile {
    path: PathBuf,
    bytes: usize,
    items: usize,
}

/// The files of one artifact.
#[derive(Default)]
pub struct ArtifactFiles {
    /// The name that its files begin with.
    stem: String,
    text: Option<GrowingFile>,
    values: Option<GrowingFile>,
    others: Vec<(PathBuf, usize)>,
}

impl ArtifactFiles {
    /// No file yet. The name is the artifact's, or else its id.
    pub fn new(stem: &str) -> Self {
        Self { stem: stem.to_owned(), ..Self::default() }
    }

    /// Appends text.
    pub fn text(
        &mut self,
        folder: &Folder,
        text: &str,
        media_type: Option<&str>,
    ) -> io::Result<()> {
        let grown = match &mut self.text {
            Some(grown) => grown,
            none => {
                let name = named(&self.stem, extension(media_type).unwrap_or("txt"));
                none.insert(GrowingFile::new(folder, &name)?)
            }
        };
        grown.append(text.as_bytes())
    }

    /// Appends a JSON value: a single one is a JSON file, several are one a line.
    pub fn value(&mut self, folder: &Folder, json: &str) -> io::Result<()> {
        let grown = match &mut self.values {
            Some(grown) => grown,
            none => none.insert(GrowingFile::new(folder, &named(&self.stem, "json"))?),
        };
        if grown.items == 1 {
            grown.rename(folder, &named(&self.stem, "jsonl"))?;
        }
        // Stored JSON has no line ends outside of strings, but others may send some.
        let line = json.replace(['\n', '\r'], " ");
        grown.append(format!("{line}\n").as_bytes())
    }

    /// Saves a file of its own.
    pub fn file(
        &mut self,
        folder: &Folder,
        name: Option<&str>,
        media_type: Option<&str>,
        bytes: &[u8],
    ) -> io::Result<PathBuf> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => named(&self.stem, extension(media_type).unwrap_or("bin")),
        };
        let path = folder.save(&name, bytes)?;
        self.others.push((path.clone(), bytes.len()));
        Ok(path)
    }

    /// Removes what was made so far: the artifact begins anew.
    pub fn discard(&mut self) -> io::Result<()> {
        let grown = [self.text.take(), self.values.take()].into_iter().flatten();
        let others = std::mem::take(&mut self.others).into_iter().map(|(path, _)| path);
        for path in grown.map(|grown| grown.path).chain(others) {
            match std::fs::remove_file(path) {
                // The user has moved it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Every file with its size, and how many values it has where it holds values.
    pub fn made(&self) -> Vec<(PathBuf, usize, Option<usize>)> {
        let text = self.text.iter().map(|grown| (grown.path.clone(), grown.bytes, None));
        let values =
            self.values.iter().map(|grown| (grown.path.clone(), grown.bytes, Some(grown.items)));
        let others = self.others.iter().map(|(path, bytes)| (path.clone(), *bytes, None));
        text.chain(values).chain(others).collect()
    }
}

impl GrowingFile {
    fn new(folder: &Folder, name: &str) -> io::Result<Self> {
        let path = folder.create(name)?.1;
        Ok(Self { path, bytes: 0, items: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(&self.path)?.write_all(bytes)?;
        self.bytes += bytes.len();
        self.items += 1;
        Ok(())
    }

    /// Gives it another name that is free.
    fn rename(&mut self, folder: &Folder, name: &str) -> io::Result<()> {
        // The name is taken by an empty file of ours first: a rename overwrites.
        let path = folder.create(name)?.1;
        std::fs::rename(&self.path, &path)?;
        self.path = path;
        Ok(())
    }
}

fn extension(media_type: Option<&str>) -> Option<&'static str> {
    let essence = media_type?.split(';').next()?.trim().to_ascii_lowercase();
    EXTENSIONS.iter().find(|(known, _)| *known == essence).map(|(_, end)| *end)
}

/// The name with this end, unless it has it.
fn named(stem: &str, end: &str) -> String {
    match stem.rsplit_once('.') {
        Some((_, has)) if has.eq_ignore_ascii_case(end) => stem.to_owned(),
        _ => format!("{stem}.{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(place: &std::path::Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap());
        let read = |entry: std::fs::DirEntry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        };
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }

    #[test]
    fn text_and_values_grow_in_a_file_each() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let mut made = ArtifactFiles::new("../pages");
        made.text(&folder, "# One", Some("text/markdown; charset=utf-8")).unwrap();
        made.text(&folder, " more", None).unwrap();
        made.value(&folder, "{\"page\":1}").unwrap();
        assert_eq!(
            files(place.path()),
            [
                ("pages.json".to_owned(), "{\"page\":1}\n".to_owned()),
                ("pages.md".to_owned(), "# One more".to_owned())
            ]
        );
        made.value(&folder, "{\n\"page\":2}").unwrap();
        let lines = ("pages.jsonl".to_owned(), "{\"page\":1}\n{ \"page\":2}\n".to_owned());
        assert_eq!(files(place.path())[0], lines);
        assert_eq!(made.made()[1].2, Some(2));
    }

    #[test]
    fn an_artifact_that_begins_anew_replaces_its_own_files_only() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.txt"), "mine").unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let mut made = ArtifactFiles::new("a");
        made.text(&folder, "lost", None).unwrap();
        made.file(&folder, Some("p.png"), None, b"lost").unwrap();
        made.discard().unwrap();
        made.text(&folder, "kept", None).unwrap();
        made.file(&folder, None, Some("image/png"), b"kept").unwrap();
        let expected = [("a-2.txt", "kept"), ("a.png", "kept"), ("a.txt", "mine")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(files(place.path()), expected);
    }
}
