//! `longhaul version`.

use crate::{
    exit::{Done, Outcome},
    print,
};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version, the revision that it was built from when the build named it, and the protocol version.
pub fn run() -> Outcome {
    print::line(&sentence(option_env!("BUILD_REVISION")))?;
    Ok(Done::Ok)
}

fn sentence(revision: Option<&str>) -> String {
    // A build argument without a value arrives as an empty one.
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
    fn the_version_names_its_revision_when_there_is_one() {
        assert!(sentence(Some("abc123")).starts_with(&format!("longhaul {VERSION} (abc123), A2A")));
        for none in [None, Some("")] {
            assert!(sentence(none).starts_with(&format!("longhaul {VERSION}, A2A")));
        }
    }
}
