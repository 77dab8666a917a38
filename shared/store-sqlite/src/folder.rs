//! The data folder: private, and open in one process at a time.
//!
//! The lock belongs to the process, so the operating system frees it when the process dies, however it dies.

use longhaul_store::{Result, StoreError};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

/// A folder that this process has locked.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where there is none, and locks it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| {
            StoreError::Unavailable(format!("cannot {what} {}: {e}", path.display()))
        };
        create(path).map_err(|e| failed("create the data folder", e))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("longhaul.lock"))
            .map_err(|e| failed("open the lock in the data folder", e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
                "the data folder {} is in use by another longhaul process; stop that one or choose another folder",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(failed("lock the data folder", e)),
        }
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join("longhaul.db")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder that only its owner can read; one that is there keeps its mode.
fn create(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
