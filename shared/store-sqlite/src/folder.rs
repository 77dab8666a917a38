//! The data folder: private, and open in one process at a time. Its files are private too, whatever the folder allows.
//!
//! The lock belongs to the process, so the operating system frees it when the process dies, however it dies.

use longhaul_store::{Result, StoreError};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

/// The file of the database.
const DATABASE: &str = "longhaul.db";
/// The file that is locked.
const LOCK: &str = "longhaul.lock";

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
            .open(path.join(LOCK))
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

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates the file of the database for its owner alone, and takes from everybody else what an earlier version has left
/// open. The database makes its write-ahead log and its index with the mode of the file.
fn protect(folder: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.create(true).truncate(false).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(folder.join(DATABASE))?;
    #[cfg(unix)]
    for name in [DATABASE, "longhaul.db-wal", "longhaul.db-shm", LOCK] {
        make_private(&folder.join(name))?;
    }
    Ok(())
}

/// The bits of a mode that are for the group and for everybody.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

#[cfg(unix)]
fn make_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match file.metadata() {
        Ok(there) => there.permissions().mode(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(file, fs::Permissions::from_mode(mode & 0o700)) {
        // A file of somebody else, and file systems without modes. It can be used all the same.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            tracing::warn!(file = %file.display(), "others may read this file, and its mode cannot be changed");
            Ok(())
        }
        changed => changed,
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
