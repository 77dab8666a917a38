//! `--file`: a file on this machine, or the address of one.

use crate::exit::Failure;
use longhaul_domain::Part;
use std::path::Path;

/// Media types by the end of a file's name.
const KNOWN: [(&str, &str); 20] = [
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
const ANY: &str = "application/octet-stream";

/// Reads what `--file` names into a part.
pub fn part(argument: &str) -> Result<Part, Failure> {
    let (place, media_type) = split(argument);
    let media_type = media_type.unwrap_or_else(|| guess(place)).to_owned();
    let filename = file_name(place);
    if is_url(place) {
        return Ok(Part { filename, media_type: Some(media_type), ..Part::url(place) });
    }
    let bytes = std::fs::read(place)
        .map_err(|error| Failure::usage(format!("--file {place}: cannot be read: {error}")))?;
    Ok(Part { filename, ..Part::raw(bytes, media_type) })
}

fn is_url(place: &str) -> bool {
    place.starts_with("http://") || place.starts_with("https://")
}

/// Takes off a media type, when what stands behind the last colon looks like one and the whole is no file.
fn split(argument: &str) -> (&str, Option<&str>) {
    match argument.rsplit_once(':') {
        Some((place, media_type)) if is_media_type(media_type) && !Path::new(argument).exists() => {
            (place, Some(media_type))
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
        // A port and a path look alike, but for the digits.
        family.starts_with(|c: char| c.is_ascii_alphabetic())
            && word(family)
            && word(kind.trim_end())
    })
}

fn guess(place: &str) -> &'static str {
    let path = place.split(['?', '#']).next().filter(|_| is_url(place)).unwrap_or(place);
    let end = path.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
    let end = end.map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    KNOWN.iter().find(|(known, _)| *known == end).map_or(ANY, |(_, media_type)| media_type)
}

fn file_name(place: &str) -> Option<String> {
    let path = place.split(['?', '#']).next().filter(|_| is_url(place)).unwrap_or(place);
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Content;

    #[test]
    fn the_media_type_is_given_or_guessed() {
        assert_eq!(split("a.bin:application/pdf"), ("a.bin", Some("application/pdf")));
        assert_eq!(split("notes:today"), ("notes:today", None));
        assert_eq!(split("https://host:8080/a"), ("https://host:8080/a", None));
        assert_eq!(split("https://host/a:text/plain"), ("https://host/a", Some("text/plain")));
        assert_eq!(guess("Report.PDF"), "application/pdf");
        assert_eq!(guess("https://host/a.png?size=1.txt"), "image/png");
        assert_eq!(guess("Makefile"), ANY);
    }

    #[test]
    fn a_file_becomes_bytes_and_an_address_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "hello").unwrap();
        let file = part(path.to_str().unwrap()).unwrap();
        assert_eq!(file.content, Content::Raw("hello".into()));
        assert_eq!(file.filename.as_deref(), Some("a.txt"));
        assert_eq!(file.media_type.as_deref(), Some("text/plain"));
        let address = part("https://host/b.pdf?x=1").unwrap();
        assert_eq!(address.content, Content::Url("https://host/b.pdf?x=1".to_owned()));
        assert_eq!(address.filename.as_deref(), Some("b.pdf"));
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let refused = part("/no/such/file.pdf").unwrap_err();
        assert_eq!(refused.code(), 2);
        assert!(refused.to_string().contains("/no/such/file.pdf"));
    }
}
