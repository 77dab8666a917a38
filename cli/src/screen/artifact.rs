//! Artifacts, as their chunks come.

use super::{Line, Screen};
use longhaul_domain::{Artifact, ArtifactUpdate, Content, Part};
use std::io::{self, Write};

impl<W: Write> Screen<W> {
    /// A chunk.
    pub(super) fn artifact(&mut self, update: &ArtifactUpdate) -> io::Result<()> {
        let artifact = &update.artifact;
        let shown = self.parts.get(&artifact.artifact_id).copied();
        let goes_on = update.append && shown.is_some();
        if !goes_on {
            let again = shown.is_some_and(|parts| parts > 0);
            self.head(artifact, if again { " (from the start again)" } else { "" })?;
        }
        let before = if goes_on { shown.unwrap_or_default() } else { 0 };
        self.parts.insert(artifact.artifact_id.clone(), before + artifact.parts.len());
        self.parts_of(artifact, &artifact.parts)
    }

    /// An artifact of a snapshot: what of it was not shown yet.
    pub(super) fn rest_of(&mut self, artifact: &Artifact) -> io::Result<()> {
        let shown = self.parts.get(&artifact.artifact_id).copied();
        let (skip, note) = match shown {
            None => (0, ""),
            Some(shown) if shown <= artifact.parts.len() => (shown, " (continued)"),
            // It has fewer parts than before: it was replaced.
            Some(_) => (0, " (from the start again)"),
        };
        if shown.is_some() && skip == artifact.parts.len() {
            return Ok(());
        }
        self.parts.insert(artifact.artifact_id.clone(), artifact.parts.len());
        self.head(artifact, note)?;
        self.parts_of(artifact, artifact.parts.get(skip..).unwrap_or_default())
    }

    fn head(&mut self, artifact: &Artifact, note: &str) -> io::Result<()> {
        let name = match &artifact.name {
            Some(name) => format!("{name} [{}]", artifact.artifact_id),
            None => format!("[{}]", artifact.artifact_id),
        };
        let line = self.clean(&format!("artifact {name}{note}"));
        self.fresh_line()?;
        self.open = Some(artifact.artifact_id.clone());
        writeln!(self.out, "{line}")
    }

    fn parts_of(&mut self, artifact: &Artifact, parts: &[Part]) -> io::Result<()> {
        if self.open.as_ref() != Some(&artifact.artifact_id) {
            self.head(artifact, " (continued)")?;
        }
        for part in parts {
            match part.as_text() {
                Some(text) if part.filename.is_none() => self.text(text, part)?,
                _ => self.described(part, artifact.artifact_id.as_str())?,
            }
            self.open = Some(artifact.artifact_id.clone());
        }
        Ok(())
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

    /// A part that is not running text, on a line of its own; saved when there is a folder and it is a file.
    pub(super) fn described(&mut self, part: &Part, owner: &str) -> io::Result<()> {
        self.fresh_line()?;
        let name = part.filename.as_deref();
        let kind = part.media_type.as_deref();
        let label = |what: &str| {
            [name.unwrap_or(what), kind.unwrap_or_default()].join(" ").trim_end().to_owned()
        };
        let line = match &part.content {
            Content::Data(json) if name.is_none() => json.as_str().to_owned(),
            Content::Url(url) => format!("{}: {url}", label("file")),
            Content::Raw(bytes) => self.file(&label("file"), part, owner, bytes)?,
            Content::Text(text) => self.file(&label("text"), part, owner, text.as_bytes())?,
            Content::Data(json) => {
                self.file(&label("data"), part, owner, json.as_str().as_bytes())?
            }
            // Contents that are kept apart do not cross the wire.
            Content::Blob(_) => label("content"),
        };
        let line = self.clean(&line);
        writeln!(self.out, "  {line}")
    }

    fn file(&self, label: &str, part: &Part, owner: &str, bytes: &[u8]) -> io::Result<String> {
        let size = size(bytes.len());
        let Some(folder) = &self.folder else {
            return Ok(format!("{label}, {size} (--output DIR saves it)"));
        };
        let name = part.filename.clone().unwrap_or_else(|| format!("{owner}.bin"));
        let path = folder.save(&name, bytes)?;
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
