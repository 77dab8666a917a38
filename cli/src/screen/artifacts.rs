//! Artifacts, shown or saved chunk by chunk.
//!
//! With a folder, contents go into files and the screen names them. Without one, text is shown as
//! it comes; on a terminal, long values are truncated and only the first few are shown.

use super::{artifact_files::ArtifactFiles, line_writer::LineWriter, output_folder::OutputFolder};
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate, Content, Part};
use std::{
    collections::HashMap,
    io::{self, Write},
};

/// Longest value on a terminal, in characters.
const MAX_VALUE_CHARS: usize = 200;
/// Most values of an artifact on a terminal.
const MAX_VALUES: usize = 10;

/// Counts of what was received of an artifact.
#[derive(Debug, Default, Clone, Copy)]
struct ShownArtifact {
    parts: usize,
    values: usize,
    value_bytes: usize,
}

/// The artifacts of one task. What was shown is not shown again.
pub struct ArtifactPrinter {
    folder: Option<OutputFolder>,
    shown: HashMap<ArtifactId, ShownArtifact>,
    /// Files of each artifact, with a folder.
    files: HashMap<ArtifactId, ArtifactFiles>,
    /// Artifacts with new parts since the last summary, in order.
    updated: Vec<ArtifactId>,
}

impl ArtifactPrinter {
    pub fn new(folder: Option<OutputFolder>) -> Self {
        Self { folder, shown: HashMap::new(), files: HashMap::new(), updated: Vec::new() }
    }

    /// Shows a chunk.
    pub fn chunk<W: Write>(
        &mut self,
        out: &mut LineWriter<W>,
        update: &ArtifactUpdate,
    ) -> io::Result<()> {
        let artifact = &update.artifact;
        let shown = self.shown.get(&artifact.artifact_id).copied();
        let continues = update.append && shown.is_some();
        if !continues {
            let again = shown.is_some_and(|shown| shown.parts > 0);
            self.begin(out, artifact, if again { " (from the start again)" } else { "" })?;
        }
        self.parts(out, artifact, &artifact.parts)
    }

    /// Shows the new parts of a snapshot's artifact.
    pub fn snapshot<W: Write>(
        &mut self,
        out: &mut LineWriter<W>,
        artifact: &Artifact,
    ) -> io::Result<()> {
        let shown = self.shown.get(&artifact.artifact_id).map(|shown| shown.parts);
        let skip = match shown {
            None => {
                self.begin(out, artifact, "")?;
                0
            }
            Some(shown) if shown == artifact.parts.len() => return Ok(()),
            Some(shown) if shown < artifact.parts.len() => {
                header(out, artifact, " (continued)")?;
                shown
            }
            // Fewer parts than before: a new attempt has replaced the artifact.
            Some(_) => {
                self.begin(out, artifact, " (from the start again)")?;
                0
            }
        };
        self.parts(out, artifact, artifact.parts.get(skip..).unwrap_or_default())
    }

    /// Names the files that were saved, and counts the values that were not shown.
    pub fn summary<W: Write>(&mut self, out: &mut LineWriter<W>) -> io::Result<()> {
        // A later summary repeats only artifacts that were updated since.
        for id in std::mem::take(&mut self.updated) {
            let Some(shown) = self.shown.get(&id).copied() else { continue };
            for file in self.files.get(&id).map(ArtifactFiles::saved).unwrap_or_default() {
                let values = match file.values {
                    Some(1) | None => String::new(),
                    Some(values) => format!("{values} values, "),
                };
                let path = file.path.display().to_string();
                out.clean_line(&format!("  {values}{}, saved as {path}", size(file.bytes)))?;
            }
            if self.folder.is_none() && self.is_brief(out) && shown.values > MAX_VALUES {
                let (more, bytes) = (shown.values - MAX_VALUES, size(shown.value_bytes));
                out.clean_line(&format!(
                    "  … and {more} more values, {bytes} in all (--output DIR saves them, --json prints them)"
                ))?;
            }
        }
        Ok(())
    }

    /// Shows a part that is not running text on a line; saves it if it is a file and there is a
    /// folder. `owner` names a file without a name.
    pub fn part_line<W: Write>(
        &self,
        out: &mut LineWriter<W>,
        part: &Part,
        owner: &str,
    ) -> io::Result<()> {
        let name = part.filename.as_deref();
        let kind = part.media_type.as_deref();
        let label = |what: &str| {
            [name.unwrap_or(what), kind.unwrap_or_default()].join(" ").trim_end().to_owned()
        };
        let line = match &part.content {
            Content::Data(json) if name.is_none() => self.value_text(out, json.as_str()),
            Content::Url(url) => format!("{}: {url}", label("file")),
            Content::Raw(bytes) => self.file_text(&label("file"), part, owner, bytes)?,
            Content::Text(text) => self.file_text(&label("text"), part, owner, text.as_bytes())?,
            Content::Data(json) => {
                self.file_text(&label("data"), part, owner, json.as_str().as_bytes())?
            }
            // Blobs are stored apart from the log, and never cross the wire as references.
            Content::Blob(_) => label("content"),
        };
        out.clean_line(&format!("  {line}"))
    }

    /// Returns true if values are truncated.
    fn is_brief<W: Write>(&self, out: &LineWriter<W>) -> bool {
        out.is_terminal() || self.folder.is_some()
    }

    /// Starts an artifact, or restarts it.
    fn begin<W: Write>(
        &mut self,
        out: &mut LineWriter<W>,
        artifact: &Artifact,
        note: &str,
    ) -> io::Result<()> {
        let id = &artifact.artifact_id;
        self.shown.insert(id.clone(), ShownArtifact::default());
        if self.folder.is_some() {
            let stem = artifact.name.as_deref().unwrap_or(id.as_str());
            let files = self.files.entry(id.clone());
            // The files of a lost attempt go, as its output does.
            files.or_insert_with(|| ArtifactFiles::new(stem)).discard()?;
        }
        header(out, artifact, note)
    }

    fn parts<W: Write>(
        &mut self,
        out: &mut LineWriter<W>,
        artifact: &Artifact,
        parts: &[Part],
    ) -> io::Result<()> {
        let id = &artifact.artifact_id;
        if !parts.is_empty() && !self.updated.contains(id) {
            self.updated.push(id.clone());
        }
        for part in parts {
            self.shown.entry(id.clone()).or_default().parts += 1;
            // Saved contents are named in the summary instead.
            if self.save(artifact, part)? {
                continue;
            }
            if !out.is_open_artifact(id) {
                header(out, artifact, " (continued)")?;
            }
            match (&part.content, part.as_text()) {
                (_, Some(text)) if part.filename.is_none() => running_text(out, text, part)?,
                (Content::Data(json), _) if part.filename.is_none() => {
                    self.value(out, artifact, json.as_str())?;
                }
                _ => self.part_line(out, part, id.as_str())?,
            }
            out.open_artifact(id);
        }
        Ok(())
    }

    /// Saves a part if there is a folder; returns whether it was saved.
    fn save(&mut self, artifact: &Artifact, part: &Part) -> io::Result<bool> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let Some(files) = self.files.get_mut(&artifact.artifact_id) else { return Ok(false) };
        let (name, kind) = (part.filename.as_deref(), part.media_type.as_deref());
        match &part.content {
            Content::Text(text) if name.is_none() => files.text(folder, text, kind)?,
            Content::Data(json) if name.is_none() => files.value(folder, json.as_str())?,
            Content::Text(text) => {
                files.file(folder, name, kind, text.as_bytes())?;
            }
            Content::Data(json) => {
                files.file(folder, name, kind, json.as_str().as_bytes())?;
            }
            Content::Raw(bytes) => {
                files.file(folder, name, kind, bytes)?;
            }
            Content::Url(_) | Content::Blob(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Shows a value on a line.
    fn value<W: Write>(
        &mut self,
        out: &mut LineWriter<W>,
        artifact: &Artifact,
        json: &str,
    ) -> io::Result<()> {
        let is_brief = self.is_brief(out);
        let shown = self.shown.entry(artifact.artifact_id.clone()).or_default();
        shown.values += 1;
        shown.value_bytes += json.len();
        if is_brief && shown.values > MAX_VALUES {
            return Ok(());
        }
        let line = self.value_text(out, json);
        out.clean_line(&format!("  {line}"))
    }

    fn value_text<W: Write>(&self, out: &LineWriter<W>, json: &str) -> String {
        match json.char_indices().nth(MAX_VALUE_CHARS) {
            Some((end, _)) if self.is_brief(out) => {
                format!("{}… ({}; --output DIR saves it)", &json[..end], size(json.len()))
            }
            _ => json.to_owned(),
        }
    }

    fn file_text(&self, label: &str, part: &Part, owner: &str, bytes: &[u8]) -> io::Result<String> {
        let size = size(bytes.len());
        let Some(folder) = &self.folder else {
            return Ok(format!("{label}, {size} (--output DIR saves it)"));
        };
        let (name, kind) = (part.filename.as_deref(), part.media_type.as_deref());
        let path = ArtifactFiles::new(owner).file(folder, name, kind, bytes)?;
        Ok(format!("{label}, {size}, saved as {}", path.display()))
    }
}

fn header<W: Write>(out: &mut LineWriter<W>, artifact: &Artifact, note: &str) -> io::Result<()> {
    let name = match &artifact.name {
        Some(name) => format!("{name} [{}]", artifact.artifact_id),
        None => format!("[{}]", artifact.artifact_id),
    };
    out.clean_line(&format!("artifact {name}{note}"))?;
    out.open_artifact(&artifact.artifact_id);
    Ok(())
}

/// Shows text, which continues from part to part. A part with its own metadata or media type
/// starts on a new line.
fn running_text<W: Write>(out: &mut LineWriter<W>, text: &str, part: &Part) -> io::Result<()> {
    if part.metadata.is_some() || part.media_type.is_some() {
        out.start_line()?;
    }
    out.text(text)
}

/// Formats a size with one decimal above a kilobyte.
fn size(bytes: usize) -> String {
    let unit = |size: usize, name: &str| {
        let tenths = bytes.saturating_mul(10) / size;
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => unit(1_000, "kB"),
        _ => unit(1_000_000, "MB"),
    }
}
