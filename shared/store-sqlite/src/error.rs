//! Errors inside the crate, and their translation for callers.

use longhaul_domain::InvalidTransition;
use longhaul_store::StoreError;
use rusqlite::ErrorCode;

/// Result of an operation on the database.
pub type DbResult<T> = Result<T, SqliteError>;

/// An error of the database, or one that is ready for the caller.
#[derive(Debug)]
pub enum SqliteError {
    Db(rusqlite::Error),
    Store(StoreError),
}

impl SqliteError {
    /// Returns whether a stored value cannot be read, as opposed to the file as a whole.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            Self::Db(error) => error.sqlite_error_code().is_none(),
            Self::Store(error) => matches!(error, StoreError::Corrupt { .. }),
        }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error)
    }
}
impl From<StoreError> for SqliteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
impl From<InvalidTransition> for SqliteError {
    fn from(error: InvalidTransition) -> Self {
        Self::Store(StoreError::Refused(error.to_string()))
    }
}
impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Store(error) => error,
            SqliteError::Db(error) => describe(&error),
        }
    }
}

/// Translates an error of the database. Everything that is not certainly about this row alone, or
/// about damage, may pass: the store is unavailable and the call may be retried.
pub fn describe(error: &rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Corrupt { what: "a row".to_owned(), cause: error.to_string() };
    };
    match code {
        ErrorCode::ConstraintViolation
        | ErrorCode::TooBig
        | ErrorCode::TypeMismatch
        | ErrorCode::ParameterOutOfRange => StoreError::Refused(error.to_string()),
        ErrorCode::DiskFull => StoreError::Unavailable(
            "the disk is full; free some space, the store then goes on by itself".to_owned(),
        ),
        ErrorCode::SystemIoFailure => StoreError::Unavailable(format!(
            "the disk failed ({error}); check the disk and its space, the store then goes on by itself"
        )),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            StoreError::Unavailable(format!(
                "the file cannot be written ({error}); check its owner and mode"
            ))
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt {
            what: "the database file".to_owned(),
            cause: format!("{error}; restore it from a backup or start with another folder"),
        },
        _ => StoreError::Unavailable(error.to_string()),
    }
}
