//! What can go wrong inside, and how it is told to callers.

use longhaul_domain::InvalidTransition;
use longhaul_store::StoreError;
use rusqlite::ErrorCode;

/// Result inside of this crate.
pub type Result<T> = std::result::Result<T, Fault>;

/// An error of the database or one that is ready to be answered.
#[derive(Debug)]
pub enum Fault {
    Db(rusqlite::Error),
    Store(StoreError),
}

impl Fault {
    /// Whether a stored value cannot be understood, and not the file as a whole.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            Self::Db(error) => error.sqlite_error_code().is_none(),
            Self::Store(error) => matches!(error, StoreError::Corrupt { .. }),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error)
    }
}
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
impl From<InvalidTransition> for Fault {
    fn from(error: InvalidTransition) -> Self {
        Self::Store(StoreError::Refused(error.to_string()))
    }
}
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Db(error) => describe(&error),
        }
    }
}

/// What a caller is told about an error of the database. Anything that is not surely about this row alone, or about
/// damage, may pass: it is unavailable, and can be tried again.
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
