//! The data folder: private, and open in one process at a time. Its files are private too, whatever
//! the mode of the folder.
//!
//! The lock belongs to the process, so the operating system frees it when the process dies.

use longhaul_store::{Result, StoreError};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

/// Name of the database file.
const DATABASE_FILE: &str = "longhaul.db";
/// Name of the lock file.
const LOCK_FILE: &str = "longhaul.lock";

/// A folder that this process has locked.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder if it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| {
            StoreError::Unavailable(format!("cannot {what} {}: {e}", path.display()))
        };
        create(path).map_err(|e| failed("create the data folder", e))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(|e| failed("open the lock in the data folder", e))?;
        match lock.try_lock() {
            Ok(()) => {
                protect(path).map_err(|e| failed("make the files private in", e))?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
                "the data folder {} is in use by another longhaul process; stop that one or choose another folder",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(failed("lock the data folder", e)),
        }
    }

    /// Returns the path of the database file.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates the database file for its owner alone, and removes the access of others to files of
/// earlier versions. SQLite creates its write-ahead log and index with the mode of the database
/// file.
fn protect(folder: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.create(true).truncate(false).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(folder.join(DATABASE_FILE))?;
    #[cfg(unix)]
    for name in [DATABASE_FILE, "longhaul.db-wal", "longhaul.db-shm", LOCK_FILE] {
        make_private(&folder.join(name))?;
    }
    Ok(())
}

/// Mode bits of the group and of others.
#[cfg(unix)]
const OTHERS_MODE_BITS: u32 = 0o077;

#[cfg(unix)]
fn make_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match file.metadata() {
        Ok(there) => there.permissions().mode(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS_MODE_BITS == 0 {
        return Ok(());
    }
    match fs::set_permissions(file, fs::Permissions::from_mode(mode & 0o700)) {
        // The file belongs to another user, or the file system has no modes. It can be used all the
        // same.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            tracing::warn!(file = %file.display(), "file readable by others: mode cannot be changed");
            Ok(())
        }
        changed => changed,
    }
}

/// Creates a folder that only its owner can read. An existing folder keeps its mode.
fn create(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
