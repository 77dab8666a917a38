//! Attachments (`--file`): files of this machine, or addresses of files.

use crate::exit::CommandError;
use longhaul_domain::Part;
use std::path::Path;

/// Media types by file name extension.
const MEDIA_TYPES: [(&str, &str); 20] = [
    ("csv", "text/csv"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("toml", "application/toml"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];
const DEFAULT_MEDIA_TYPE: &str = "application/octet-stream";

/// Reads a `--file` argument into a part: the bytes of a file, or the address as it is.
pub fn read_part(argument: &str) -> Result<Part, CommandError> {
    let (location, media_type) = split_media_type(argument);
    let media_type = media_type.unwrap_or_else(|| guess_media_type(location)).to_owned();
    let filename = file_name(location);
    // The agent fetches it: the file may be out of reach for this machine.
    if is_url(location) {
        return Ok(Part { filename, media_type: Some(media_type), ..Part::url(location) });
    }
    let bytes = std::fs::read(location).map_err(|error| {
        CommandError::usage(format!("--file {location}: cannot be read: {error}"))
    })?;
    Ok(Part { filename, ..Part::raw(bytes, media_type) })
}

fn is_url(location: &str) -> bool {
    location.starts_with("http://") || location.starts_with("https://")
}

/// Splits a media type off: text behind the last colon that looks like one, unless the whole
/// argument names a file.
fn split_media_type(argument: &str) -> (&str, Option<&str>) {
    match argument.rsplit_once(':') {
        Some((location, media_type))
            if is_media_type(media_type) && !Path::new(argument).exists() =>
        {
            (location, Some(media_type))
        }
        _ => (argument, None),
    }
}

fn is_media_type(text: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_'))
    };
    let essence = text.split(';').next().unwrap_or_default();
    essence.split_once('/').is_some_and(|(family, kind)| {
        // A port and a path, as in `host:8080/a`, begin with a digit.
        family.starts_with(|c: char| c.is_ascii_alphabetic())
            && word(family)
            && word(kind.trim_end())
    })
}

fn guess_media_type(location: &str) -> &'static str {
    // Query and fragment are no part of the file name.
    let path = location.split(['?', '#']).next().filter(|_| is_url(location)).unwrap_or(location);
    let extension = path.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
    let extension = extension.map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    MEDIA_TYPES
        .iter()
        .find(|(known, _)| *known == extension)
        .map_or(DEFAULT_MEDIA_TYPE, |(_, media_type)| media_type)
}

fn file_name(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next().filter(|_| is_url(location)).unwrap_or(location);
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Content;

    #[test]
    fn the_media_type_is_given_or_guessed() {
        assert_eq!(split_media_type("a.bin:application/pdf"), ("a.bin", Some("application/pdf")));
        assert_eq!(split_media_type("notes:today"), ("notes:today", None));
        assert_eq!(split_media_type("https://host:8080/a"), ("https://host:8080/a", None));
        assert_eq!(
            split_media_type("https://host/a:text/plain"),
            ("https://host/a", Some("text/plain"))
        );
        assert_eq!(guess_media_type("Report.PDF"), "application/pdf");
        assert_eq!(guess_media_type("https://host/a.png?size=1.txt"), "image/png");
        assert_eq!(guess_media_type("Makefile"), DEFAULT_MEDIA_TYPE);
    }

    #[test]
    fn a_file_becomes_bytes_and_an_address_stays_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "hello").unwrap();
        let file = read_part(path.to_str().unwrap()).unwrap();
        assert_eq!(file.content, Content::Raw("hello".into()));
        assert_eq!(file.filename.as_deref(), Some("a.txt"));
        assert_eq!(file.media_type.as_deref(), Some("text/plain"));
        let address = read_part("https://host/b.pdf?x=1").unwrap();
        assert_eq!(address.content, Content::Url("https://host/b.pdf?x=1".to_owned()));
        assert_eq!(address.filename.as_deref(), Some("b.pdf"));
    }

    #[test]
    fn a_missing_file_is_wrong_usage() {
        let refused = read_part("/no/such/file.pdf").unwrap_err();
        assert_eq!(refused.code(), 2);
        assert!(refused.to_string().contains("/no/such/file.pdf"));
    }
}
