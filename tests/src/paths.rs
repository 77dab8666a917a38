//! Paths of the workspace, the built binaries and the test interpreter.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace's root folder.
pub fn workspace() -> PathBuf {
    let tests = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = tests.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.unwrap_or_else(|| panic!("no Cargo.lock above {}", tests.display())).to_owned()
}

/// The built binary `name`, of the same profile as the running test.
///
/// Panics with the command that builds it when it is missing.
pub fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a running test knows its own path");
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("no binary {name} beside {}: run `cargo build --workspace --bins` with the same profile", test.display())
    })
}

/// The Python interpreter with the packages of `tests/python/requirements.txt`.
pub fn python() -> PathBuf {
    let python = env::var_os(crate::PYTHON)
        .map_or_else(|| target().join("test-venv/bin/python"), PathBuf::from);
    assert!(python.is_file(), "no Python at {}: ./tests/run makes it", python.display());
    python
}

/// The installed Chromium.
pub fn browser() -> PathBuf {
    program("chromium", &[]).expect("no program chromium: ./tests/run installs it")
}

/// A file or folder that `tests/prepare` or `tests/run` created for tests, such as `test-venv-0.3`.
///
/// Panics with the command that makes it when it is missing.
pub fn prepared(name: &str) -> PathBuf {
    let path = target().join(name);
    assert!(path.exists(), "nothing at {}: ./tests/run makes it", path.display());
    path
}

/// Finds a server program in one of `folders`, else in the path.
pub(crate) fn program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(env::split_paths(&path));
    all.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The folders `parent/*/leaf`, newest version (highest number) first.
pub(crate) fn versions(parent: &str, leaf: &str) -> Vec<PathBuf> {
    let Ok(entries) = Path::new(parent).read_dir() else { return Vec::new() };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(numbers(folder)));
    folders.into_iter().map(|folder| folder.join(leaf)).collect()
}

fn numbers(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
