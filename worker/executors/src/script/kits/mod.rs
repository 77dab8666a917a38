//! Behaviours that conformance kits expect of an agent, by what their messages look like. They are plans like any other, so what holds
//! for scripts holds for them, crashes included. Each kit is one function that knows its own messages and no other's; the first that
//! answers wins. Nobody else begins the id or the text of a message as the kits do.

mod corpus;
mod tck;

use super::{Plan, plan::Output};
use longhaul_domain::{Json, Message, Part};
use std::time::Duration;

/// The variable that tells how long the compatibility kit waits for a stream, seconds; the kit reads it too.
pub const STREAM_TIMEOUT: &str = "TCK_STREAMING_TIMEOUT";

/// What the kit waits without that variable.
const DEFAULT_STREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// How kits are run, as far as it matters to behaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kits {
    /// How long a kit waits for a stream.
    stream_timeout: Duration,
}

impl Default for Kits {
    fn default() -> Self {
        Self { stream_timeout: DEFAULT_STREAM_TIMEOUT }
    }
}

impl Kits {
    /// With the value of [`STREAM_TIMEOUT`]; one that is no time in seconds, or more than ten minutes, counts as absent.
    pub fn with_stream_timeout(seconds: Option<&str>) -> Self {
        let seconds = seconds.and_then(|text| text.trim().parse::<f64>().ok());
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let timeout = timeout.filter(|timeout| *timeout <= Duration::from_secs(600));
        Self { stream_timeout: timeout.unwrap_or(DEFAULT_STREAM_TIMEOUT) }
    }

    /// What a kit expects for this message, if it is one of a kit's.
    pub(super) fn plan_for(self, message: &Message) -> Option<Plan> {
        tck::plan(self, message.message_id.as_str()).or_else(|| corpus::plan(message))
    }
}

/// The longest of these names that the text begins with.
fn longest<'a>(names: &[&'a str], text: &str) -> Option<&'a str> {
    let fitting = names.iter().copied().filter(|name| text.starts_with(name));
    fitting.max_by_key(|name| name.len())
}

fn text(text: &str) -> Vec<Output> {
    vec![Output { chunks: vec![Part::text(text)] }]
}

fn chunks(texts: &[&str]) -> Vec<Output> {
    vec![Output { chunks: texts.iter().copied().map(Part::text).collect() }]
}

fn file() -> Vec<Output> {
    let filename = Some("output.txt".to_owned());
    let part = Part { filename, ..Part::raw("Generated file content", "text/plain") };
    vec![Output { chunks: vec![part] }]
}

fn file_url() -> Vec<Output> {
    let part = Part {
        filename: Some("output.txt".to_owned()),
        media_type: Some("text/plain".to_owned()),
        ..Part::url("https://example.com/output.txt")
    };
    vec![Output { chunks: vec![part] }]
}

fn data() -> Vec<Output> {
    let json = Json::parse(r#"{"key":"value","count":42}"#).ok();
    vec![Output { chunks: json.into_iter().map(Part::data).collect() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_wins_and_a_stranger_has_none() {
        let names = ["tck-artifact-file", "tck-artifact-file-url", "tck-artifact"];
        assert_eq!(longest(&names, "tck-artifact-file-url-7f"), Some("tck-artifact-file-url"));
        assert_eq!(longest(&names, "tck-artifact-file-7f"), Some("tck-artifact-file"));
        assert_eq!(longest(&names, "tck-artifac"), None);
    }

    #[test]
    fn the_kits_timeout_is_read_and_nonsense_is_not() {
        let timeout = |text| Kits::with_stream_timeout(text).stream_timeout;
        assert_eq!(timeout(Some(" 0.5 ")), Duration::from_millis(500));
        for nonsense in [None, Some(""), Some("soon"), Some("-1"), Some("NaN"), Some("1e300")] {
            assert_eq!(timeout(nonsense), DEFAULT_STREAM_TIMEOUT, "{nonsense:?}");
        }
    }
}
