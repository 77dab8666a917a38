//! The limit of open files. Each stream takes a descriptor, and many systems set a soft limit of
//! 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Soft limit to set, if the hard limit allows it.
const MAX_OPEN_FILES: u64 = 65_536;

/// Raises the soft limit of open files and logs the limit in force. Plugins inherit it.
pub fn raise_limit() {
    let found = getrlimit(Resource::Nofile);
    let Some(wanted) = limit_to_set(&found) else { return };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..found });
    match raised {
        Ok(()) if wanted < MAX_OPEN_FILES => tracing::warn!(
            from = found.current,
            to = wanted,
            "open file limit is low: raise the hard limit (LimitNOFILE, ulimits)"
        ),
        Ok(()) => tracing::info!(from = found.current, to = wanted, "open file limit raised"),
        Err(error) => {
            tracing::warn!(limit = found.current, %error, "open file limit cannot be raised");
        }
    }
}

/// Returns the soft limit to set; `None` if the present one is high enough.
fn limit_to_set(limit: &Rlimit) -> Option<u64> {
    // No current limit means unlimited.
    let current = limit.current?;
    let wanted = limit.maximum.map_or(MAX_OPEN_FILES, |hard| hard.min(MAX_OPEN_FILES));
    (current < MAX_OPEN_FILES).then(|| wanted.max(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
        limit_to_set(&Rlimit { current, maximum })
    }

    #[test]
    fn the_soft_limit_rises_to_the_hard_limit_and_never_falls() {
        assert_eq!(limit(Some(1_024), Some(1_048_576)), Some(65_536));
        assert_eq!(limit(Some(1_024), None), Some(65_536));
        assert_eq!(limit(Some(1_024), Some(4_096)), Some(4_096));
        assert_eq!(limit(Some(100_000), Some(1_048_576)), None);
        assert_eq!(limit(None, None), None);
    }
}
