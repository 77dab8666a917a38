//! Plans for the messages of conformance kits.
//!
//! A kit's messages are recognised by how their id or text begins. Each kit has one function, which
//! knows only its own messages; the first that returns a plan wins. The plans are like any other,
//! crashes included.

mod artifacts;
mod corpus;
mod tck;

use crate::plan::Plan;
use longhaul_domain::Message;
use std::time::Duration;

/// The variable with the time that the compatibility kit waits for a stream, seconds. The kit reads
/// it too.
pub const STREAM_TIMEOUT_VARIABLE: &str = "TCK_STREAMING_TIMEOUT";

/// Time that the kit waits without that variable.
const DEFAULT_STREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// The settings of kits that plans depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KitSettings {
    /// Time that a kit waits for a stream.
    stream_timeout: Duration,
}

impl Default for KitSettings {
    fn default() -> Self {
        Self { stream_timeout: DEFAULT_STREAM_TIMEOUT }
    }
}

impl KitSettings {
    /// Settings from the value of [`STREAM_TIMEOUT_VARIABLE`]. A value that is not a number of
    /// seconds, or above ten minutes, counts as absent.
    pub fn with_stream_timeout(seconds: Option<&str>) -> Self {
        let seconds = seconds.and_then(|text| text.trim().parse::<f64>().ok());
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let timeout = timeout.filter(|timeout| *timeout <= Duration::from_secs(600));
        Self { stream_timeout: timeout.unwrap_or(DEFAULT_STREAM_TIMEOUT) }
    }

    /// The plan for a message of a kit; `None` for any other message.
    pub(crate) fn plan_for(self, message: &Message) -> Option<Plan> {
        tck::plan(self.stream_timeout, message.message_id.as_str())
            .or_else(|| corpus::plan(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_timeout_is_read_and_invalid_values_are_ignored() {
        let timeout = |text| KitSettings::with_stream_timeout(text).stream_timeout;
        assert_eq!(timeout(Some(" 0.5 ")), Duration::from_millis(500));
        for nonsense in [None, Some(""), Some("soon"), Some("-1"), Some("NaN"), Some("1e300")] {
            assert_eq!(timeout(nonsense), DEFAULT_STREAM_TIMEOUT, "{nonsense:?}");
        }
    }
}
