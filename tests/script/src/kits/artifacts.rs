//! Artifacts that several kits expect, and how kits name their behaviours.

use crate::plan::PlannedArtifact;
use longhaul_domain::{Json, Part};

/// The longest name that the text begins with.
pub(super) fn longest<'a>(names: &[&'a str], text: &str) -> Option<&'a str> {
    let fitting = names.iter().copied().filter(|name| text.starts_with(name));
    fitting.max_by_key(|name| name.len())
}

pub(super) fn text(text: &str) -> Vec<PlannedArtifact> {
    vec![PlannedArtifact { chunks: vec![Part::text(text)] }]
}

pub(super) fn chunks(texts: &[&str]) -> Vec<PlannedArtifact> {
    vec![PlannedArtifact { chunks: texts.iter().copied().map(Part::text).collect() }]
}

pub(super) fn file() -> Vec<PlannedArtifact> {
    let filename = Some("output.txt".to_owned());
    let part = Part { filename, ..Part::raw("Generated file content", "text/plain") };
    vec![PlannedArtifact { chunks: vec![part] }]
}

pub(super) fn file_url() -> Vec<PlannedArtifact> {
    let part = Part {
        filename: Some("output.txt".to_owned()),
        media_type: Some("text/plain".to_owned()),
        ..Part::url("https://example.com/output.txt")
    };
    vec![PlannedArtifact { chunks: vec![part] }]
}

pub(super) fn data() -> Vec<PlannedArtifact> {
    let json = Json::parse(r#"{"key":"value","count":42}"#).ok();
    vec![PlannedArtifact { chunks: json.into_iter().map(Part::data).collect() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_other_texts_have_none() {
        let names = ["tck-artifact-file", "tck-artifact-file-url", "tck-artifact"];
        assert_eq!(longest(&names, "tck-artifact-file-url-7f"), Some("tck-artifact-file-url"));
        assert_eq!(longest(&names, "tck-artifact-file-7f"), Some("tck-artifact-file"));
        assert_eq!(longest(&names, "tck-artifac"), None);
    }
}
