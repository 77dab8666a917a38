//! Errors of a store.

use longhaul_domain::TaskKey;

/// A failed call. Nothing of it was done, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is read-only, full or overloaded. The call may be retried; a
    /// write whose answer was lost is recognised when it is repeated.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database refused this row and would refuse it again.
    #[error("the store refused the write: {0}")]
    Refused(String),
    /// Stored data cannot be read.
    #[error("{what} is corrupt: {cause}")]
    Corrupt {
        /// The row or column.
        what: String,
        /// The cause.
        cause: String,
    },
    /// The result is larger than the read budget. The same read with a larger budget, or a smaller
    /// read, may succeed.
    #[error("what was to be read takes more than {budget} bytes")]
    TooLarge {
        /// The budget, in bytes.
        budget: u64,
    },
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
}

impl StoreError {
    /// Returns an unavailable error with the text of its cause.
    pub fn unavailable(source: impl std::fmt::Display) -> Self {
        Self::Unavailable(source.to_string())
    }

    /// Reports data of a task that cannot be read.
    pub fn corrupt(key: TaskKey, what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: format!("{what} of task {}", key.task), cause: cause.to_string() }
    }

    /// Returns whether a retry can help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
