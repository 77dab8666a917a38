//! `longhaul version`.

use crate::{
    exit::{CommandResult, Completion},
    print,
};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version, the source revision if the build names one, and the protocol version.
pub fn run() -> CommandResult {
    print::line(&version_line(option_env!("BUILD_REVISION")))?;
    Ok(Completion::Ok)
}

fn version_line(revision: Option<&str>) -> String {
    // A build argument without a value is passed as an empty one.
    let revision = revision.filter(|revision| !revision.is_empty());
    let revision = revision.map(|revision| format!(" ({revision})")).unwrap_or_default();
    let profile = if cfg!(debug_assertions) { ", debug build" } else { "" };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("longhaul {VERSION}{revision}, A2A 1.0, {os} {arch}{profile}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_its_revision_if_there_is_one() {
        assert!(
            version_line(Some("abc123")).starts_with(&format!("longhaul {VERSION} (abc123), A2A"))
        );
        for none in [None, Some("")] {
            assert!(version_line(none).starts_with(&format!("longhaul {VERSION}, A2A")));
        }
    }
}
