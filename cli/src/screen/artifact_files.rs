//! The files of one artifact: one for its text, one for its values, and one for each file in it.
//!
//! Chunks are appended as they come. An artifact that is replaced replaces its own files, and no
//! others.

use super::output_folder::OutputFolder;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

/// File name extensions by media type, for contents without a name.
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

/// A file that chunks are appended to. It is open only during a write, as a task may have thousands
/// of artifacts.
struct AppendedFile {
    path: PathBuf,
    bytes: usize,
    chunks: usize,
}

/// A saved file.
pub struct SavedFile {
    pub path: PathBuf,
    pub bytes: usize,
    /// Number of values, in a file of values.
    pub values: Option<usize>,
}

/// The files of one artifact.
#[derive(Default)]
pub struct ArtifactFiles {
    /// Start of the file names.
    stem: String,
    text: Option<AppendedFile>,
    values: Option<AppendedFile>,
    others: Vec<(PathBuf, usize)>,
}

impl ArtifactFiles {
    /// Creates an empty set. The stem is the artifact's name or id.
    pub fn new(stem: &str) -> Self {
        Self { stem: stem.to_owned(), ..Self::default() }
    }

    /// Appends text.
    pub fn text(
        &mut self,
        folder: &OutputFolder,
        text: &str,
        media_type: Option<&str>,
    ) -> io::Result<()> {
        let file = match &mut self.text {
            Some(file) => file,
            none => {
                let name = with_extension(&self.stem, extension(media_type).unwrap_or("txt"));
                none.insert(AppendedFile::new(folder, &name)?)
            }
        };
        file.append(text.as_bytes())
    }

    /// Appends a JSON value. One value makes a `.json` file; several make a `.jsonl` file, one a
    /// line.
    pub fn value(&mut self, folder: &OutputFolder, json: &str) -> io::Result<()> {
        let file = match &mut self.values {
            Some(file) => file,
            none => none.insert(AppendedFile::new(folder, &with_extension(&self.stem, "json"))?),
        };
        // The second value turns the JSON file into lines of JSON.
        if file.chunks == 1 {
            file.rename(folder, &with_extension(&self.stem, "jsonl"))?;
        }
        // Other servers may send JSON with line ends between tokens.
        let line = json.replace(['\n', '\r'], " ");
        file.append(format!("{line}\n").as_bytes())
    }

    /// Saves a file.
    pub fn file(
        &mut self,
        folder: &OutputFolder,
        name: Option<&str>,
        media_type: Option<&str>,
        bytes: &[u8],
    ) -> io::Result<PathBuf> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => with_extension(&self.stem, extension(media_type).unwrap_or("bin")),
        };
        let path = folder.save(&name, bytes)?;
        self.others.push((path.clone(), bytes.len()));
        Ok(path)
    }

    /// Removes the files: the artifact is replaced.
    pub fn discard(&mut self) -> io::Result<()> {
        let appended = [self.text.take(), self.values.take()].into_iter().flatten();
        let others = std::mem::take(&mut self.others).into_iter().map(|(path, _)| path);
        for path in appended.map(|file| file.path).chain(others) {
            match std::fs::remove_file(path) {
                // The user may have moved it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Lists the files that were saved.
    pub fn saved(&self) -> Vec<SavedFile> {
        let appended = |file: &AppendedFile, values| SavedFile {
            path: file.path.clone(),
            bytes: file.bytes,
            values,
        };
        let text = self.text.iter().map(|file| appended(file, None));
        let values = self.values.iter().map(|file| appended(file, Some(file.chunks)));
        let others = self.others.iter().map(|(path, bytes)| SavedFile {
            path: path.clone(),
            bytes: *bytes,
            values: None,
        });
        text.chain(values).chain(others).collect()
    }
}

impl AppendedFile {
    fn new(folder: &OutputFolder, name: &str) -> io::Result<Self> {
        let path = folder.create(name)?.1;
        Ok(Self { path, bytes: 0, chunks: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(&self.path)?.write_all(bytes)?;
        self.bytes += bytes.len();
        self.chunks += 1;
        Ok(())
    }

    /// Renames the file; the name is made safe and unique.
    fn rename(&mut self, folder: &OutputFolder, name: &str) -> io::Result<()> {
        // A rename overwrites, so an empty file reserves the name first.
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

/// Adds an extension to a name, unless it has it.
fn with_extension(stem: &str, end: &str) -> String {
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
    fn text_and_values_are_appended_to_a_file_each() {
        let place = tempfile::tempdir().unwrap();
        let folder = OutputFolder::open(place.path()).unwrap();
        let mut saved = ArtifactFiles::new("../pages");
        saved.text(&folder, "# One", Some("text/markdown; charset=utf-8")).unwrap();
        saved.text(&folder, " more", None).unwrap();
        saved.value(&folder, "{\"page\":1}").unwrap();
        assert_eq!(
            files(place.path()),
            [
                ("pages.json".to_owned(), "{\"page\":1}\n".to_owned()),
                ("pages.md".to_owned(), "# One more".to_owned())
            ]
        );
        saved.value(&folder, "{\n\"page\":2}").unwrap();
        let lines = ("pages.jsonl".to_owned(), "{\"page\":1}\n{ \"page\":2}\n".to_owned());
        assert_eq!(files(place.path())[0], lines);
        assert_eq!(saved.saved()[1].values, Some(2));
    }

    #[test]
    fn a_replaced_artifact_replaces_its_own_files_only() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.txt"), "mine").unwrap();
        let folder = OutputFolder::open(place.path()).unwrap();
        let mut saved = ArtifactFiles::new("a");
        saved.text(&folder, "lost", None).unwrap();
        saved.file(&folder, Some("p.png"), None, b"lost").unwrap();
        saved.discard().unwrap();
        saved.text(&folder, "kept", None).unwrap();
        saved.file(&folder, None, Some("image/png"), b"kept").unwrap();
        let expected = [("a-2.txt", "kept"), ("a.png", "kept"), ("a.txt", "mine")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(files(place.path()), expected);
    }
}
