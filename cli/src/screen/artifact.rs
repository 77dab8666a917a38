//! Artifacts, as their chunks come.
//!
//! With a folder, contents go into files and the screen names them. Without one, text is shown as it comes; on a terminal, long
//! and numerous values are cut short.

use super::{ArtifactFiles, Line, Screen};
use longhaul_domain::{Artifact, ArtifactUpdate, Content, Part};
use std::io::{self, Write};

/// How much of a value a terminal shows.
const MAX_VALUE_CHARS: usize = 200;
/// Values of one artifact that a terminal shows.
const MAX_VALUES: usize = 10;

/// What was shown of an artifact.
#[derive(Debug, Default, Clone, Copy)]
pub struct ShownArtifact {
    /// Parts that came.
    parts: usize,
    /// Values that came, and their bytes.
    values: usize,
    value_bytes: usize,
}

impl<W: Write> Screen<W> {
    /// A chunk.
    pub(super) fn artifact(&mut self, update: &ArtifactUpdate) -> io::Result<()> {
        let artifact = &update.artifact;
        let shown = self.shown.get(&artifact.artifact_id).copied();
        let goes_on = update.append && shown.is_some();
        if !goes_on {
            let again = shown.is_some_and(|shown| shown.parts > 0);
            self.begin(artifact, if again { " (from the start again)" } else { "" })?;
        }
        self.parts_of(artifact, &artifact.parts)
    }

    /// An artifact of a snapshot: what of it was not shown yet.
    pub(super) fn rest_of(&mut self, artifact: &Artifact) -> io::Result<()> {
        let shown = self.shown.get(&artifact.artifact_id).map(|shown| shown.parts);
        let skip = match shown {
            None => {
                self.begin(artifact, "")?;
                0
            }
            Some(shown) if shown == artifact.parts.len() => return Ok(()),
            Some(shown) if shown < artifact.parts.len() => {
                self.head(artifact, " (continued)")?;
                shown
            }
            // It has fewer parts than before: it was replaced.
            Some(_) => {
                self.begin(artifact, " (from the start again)")?;
                0
            }
        };
        self.parts_of(artifact, artifact.parts.get(skip..).unwrap_or_default())
    }

    /// Says what is saved, and how much is not shown; once, when nothing more comes.
    pub(super) fn sum_up(&mut self) -> io::Result<()> {
        for id in std::mem::take(&mut self.order) {
            let Some(shown) = self.shown.get(&id).copied() else { continue };
            let made = self.files.get(&id).map(ArtifactFiles::made).unwrap_or_default();
            for (path, bytes, values) in made {
                let values = match values {
                    Some(1) | None => String::new(),
                    Some(values) => format!("{values} values, "),
                };
                let path = path.display().to_string();
                self.own_line(&format!("  {values}{}, saved as {path}", size(bytes)))?;
            }
            if self.folder.is_none() && self.is_brief() && shown.values > MAX_VALUES {
                let (more, bytes) = (shown.values - MAX_VALUES, size(shown.value_bytes));
                self.own_line(&format!(
                    "  … and {more} more values, {bytes} in all (--output DIR saves them, --json prints them)"
                ))?;
            }
        }
        Ok(())
    }

    /// Whether contents are cut short.
    fn is_brief(&self) -> bool {
        self.style.terminal || self.folder.is_some()
    }

    fn own_line(&mut self, text: &str) -> io::Result<()> {
        let line = self.clean(text);
        self.fresh_line()?;
        writeln!(self.out, "{line}")
    }

    /// Begins an artifact, or begins it anew.
    fn begin(&mut self, artifact: &Artifact, note: &str) -> io::Result<()> {
        let id = &artifact.artifact_id;
        self.shown.insert(id.clone(), ShownArtifact::default());
        if self.folder.is_some() {
            let stem = artifact.name.as_deref().unwrap_or(id.as_str());
            let files = self.files.entry(id.clone());
            files.or_insert_with(|| ArtifactFiles::new(stem)).discard()?;
        }
        self.head(artifact, note)
    }

    fn head(&mut self, artifact: &Artifact, note: &str) -> io::Result<()> {
        let name = match &artifact.name {
            Some(name) => format!("{name} [{}]", artifact.artifact_id),
            None => format!("[{}]", artifact.artifact_id),
        };
        self.own_line(&format!("artifact {name}{note}"))?;
        self.open = Some(artifact.artifact_id.clone());
        Ok(())
    }

    fn parts_of(&mut self, artifact: &Artifact, parts: &[Part]) -> io::Result<()> {
        if !parts.is_empty() && !self.order.contains(&artifact.artifact_id) {
            self.order.push(artifact.artifact_id.clone());
        }
        for part in parts {
            self.shown.entry(artifact.artifact_id.clone()).or_default().parts += 1;
            if self.save(artifact, part)? {
                continue;
            }
            if self.open.as_ref() != Some(&artifact.artifact_id) {
                self.head(artifact, " (continued)")?;
            }
            match (&part.content, part.as_text()) {
                (_, Some(text)) if part.filename.is_none() => self.text(text, part)?,
                (Content::Data(json), _) if part.filename.is_none() => {
                    self.value(artifact, json.as_str())?;
                }
                _ => self.described(part, artifact.artifact_id.as_str())?,
            }
            self.open = Some(artifact.artifact_id.clone());
        }
        Ok(())
    }

    /// Saves a part where there is a folder for it; says whether it was saved.
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

    /// Text flows on from part to part, unless a part is described as something of its own.
    fn text(&mut self, text: &str, part: &Part) -> io::Result<()> {
        if part.metadata.is_some() || part.media_type.is_some() {
            self.fresh_line()?;
        }
        let text = self.clean(text);
        self.out.write_all(text.as_bytes())?;
        match text.chars().last() {
            None => {}
            Some('\n') => self.line = Line::Start,
            Some(_) => self.line = Line::Text,
        }
        Ok(())
    }

    /// A value of an artifact, on a line of its own.
    fn value(&mut self, artifact: &Artifact, json: &str) -> io::Result<()> {
        let is_brief = self.is_brief();
        let shown = self.shown.entry(artifact.artifact_id.clone()).or_default();
        shown.values += 1;
        shown.value_bytes += json.len();
        if is_brief && shown.values > MAX_VALUES {
            return Ok(());
        }
        let line = self.brief(json);
        self.own_line(&format!("  {line}"))
    }

    /// A value, cut short where that is wanted.
    fn brief(&self, json: &str) -> String {
        match json.char_indices().nth(MAX_VALUE_CHARS) {
            Some((end, _)) if self.is_brief() => {
                format!("{}… ({}; --output DIR saves it)", &json[..end], size(json.len()))
            }
            _ => json.to_owned(),
        }
    }

    /// A part that is not running text, on a line of its own; saved when there is a folder and it is a file.
    pub(super) fn described(&mut self, part: &Part, owner: &str) -> io::Result<()> {
        let name = part.filename.as_deref();
        let kind = part.media_type.as_deref();
        let label = |what: &str| {
            [name.unwrap_or(what), kind.unwrap_or_default()].join(" ").trim_end().to_owned()
        };
        let line = match &part.content {
            Content::Data(json) if name.is_none() => self.brief(json.as_str()),
            Content::Url(url) => format!("{}: {url}", label("file")),
            Content::Raw(bytes) => self.file(&label("file"), part, owner, bytes)?,
            Content::Text(text) => self.file(&label("text"), part, owner, text.as_bytes())?,
            Content::Data(json) => {
                self.file(&label("data"), part, owner, json.as_str().as_bytes())?
            }
            // Contents that are kept apart do not cross the wire.
            Content::Blob(_) => label("content"),
        };
        self.own_line(&format!("  {line}"))
    }

    fn file(&self, label: &str, part: &Part, owner: &str, bytes: &[u8]) -> io::Result<String> {
        let size = size(bytes.len());
        let Some(folder) = &self.folder else {
            return Ok(format!("{label}, {size} (--output DIR saves it)"));
        };
        let (name, kind) = (part.filename.as_deref(), part.media_type.as_deref());
        let path = ArtifactFiles::new(owner).file(folder, name, kind, bytes)?;
        Ok(format!("{label}, {size}, saved as {}", path.display()))
    }
}

/// A size for people: one decimal above a kilobyte.
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
