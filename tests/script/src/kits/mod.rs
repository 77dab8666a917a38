//! Behaviours that conformance kits expect of an agent, by what their messages look like. They are plans like any other, so what holds
//! for scripts holds for them, crashes included. Each kit is one function that knows its own messages and no other's; the first that
//! answers wins. Nobody else begins the id or the text of a message as the kits do.

mod artifacts;
mod corpus;
mod tck;

use crate::plan::Plan;
use longhaul_domain::Message;
use std::time::Duration;

/// The variable that tells how long the compatibility kit waits for a stream, seconds; the kit reads it too.
pub const STREAM_TIMEOUT_VARIABLE: &str = "TCK_STREAMING_TIMEOUT";

/// What the kit waits without that variable.
const DEFAULT_STREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// How kits are run, as far as it matters to behaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KitSettings {
    /// How long a kit waits for a stream.
    stream_timeout: Duration,
}

impl Default for KitSettings {
    fn default() -> Self {
        Self { stream_timeout: DEFAULT_STREAM_TIMEOUT }
    }
}

impl KitSettings {
    /// With the value of [`STREAM_TIMEOUT_VARIABLE`]; one that is no time in seconds, or more than ten minutes, counts as absent.
    pub fn with_stream_timeout(seconds: Option<&str>) -> Self {
        let seconds = seconds.and_then(|text| text.trim().parse::<f64>().ok());
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let timeout = timeout.filter(|timeout| *timeout <= Duration::from_secs(600));
        Self { stream_timeout: timeout.unwrap_or(DEFAULT_STREAM_TIMEOUT) }
    }

    /// What a kit expects for this message, if it is one of a kit's.
    pub(crate) fn plan_for(self, message: &Message) -> Option<Plan> {
        tck::plan(self.stream_timeout, message.message_id.as_str())
            .or_else(|| corpus::plan(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kits_timeout_is_read_and_nonsense_is_not() {
        let timeout = |text| KitSettings::with_stream_timeout(text).stream_timeout;
        assert_eq!(timeout(Some(" 0.5 ")), Duration::from_millis(500));
        for nonsense in [None, Some(""), Some("soon"), Some("-1"), Some("NaN"), Some("1e300")] {
            assert_eq!(timeout(nonsense), DEFAULT_STREAM_TIMEOUT, "{nonsense:?}");
        }
    }
}
