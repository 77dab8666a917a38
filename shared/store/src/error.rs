//! Why a store could not do what it was asked.

use longhaul_domain::TaskKey;

/// A failed call. Nothing of it was done, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is read-only, full or overloaded. It may be tried again; a write whose answer was
    /// lost is recognised when it is repeated.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database refused this row, and would again.
    #[error("the store refused the write: {0}")]
    Refused(String),
    /// What was read cannot be understood.
    #[error("{what} is corrupt: {cause}")]
    Corrupt {
        /// Which row or column.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// What was to be read is larger than the room that there is for it. The same read with more room, or of less, may succeed.
    #[error("what was to be read takes more than {budget} bytes")]
    TooLarge {
        /// The room, in bytes.
        budget: u64,
    },
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
}

impl StoreError {
    /// An unavailable store, from the error that showed it.
    pub fn unavailable(source: impl std::fmt::Display) -> Self {
        Self::Unavailable(source.to_string())
    }

    /// Something of a task that cannot be understood.
    pub fn corrupt(key: TaskKey, what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: format!("{what} of task {}", key.task), cause: cause.to_string() }
    }

    /// Whether trying again can help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
