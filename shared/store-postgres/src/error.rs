//! Database errors, classified by remedy: retry, wait, or tell the operator.

use longhaul_store::{ReadBudget, StoreError};
use sqlx_core::error::Error;
use std::{fmt, io};

/// Advice for a pooler between the store and its database that does not keep sessions.
pub const POOLER_BREAKS_LISTEN: &str = "LISTEN needs a direct connection to Postgres, and a pooler such as pgbouncer in transaction mode \
     breaks it: give the server's own address, or a pool in session mode";

/// Result of a database operation.
pub type DbResult<T> = Result<T, DbError>;

/// A failed statement or transaction.
#[derive(Debug, Clone)]
pub enum DbError {
    /// A deadlock or a lost race. Nothing was written; a retry helps.
    Conflict(String),
    /// The connection broke or the server is starting. The outcome of the last commit is unknown.
    ConnectionLost(String),
    /// The server cannot serve the request now. Nothing was written.
    Unavailable(String),
    /// The database rejected a row. Nothing was written.
    Rejected(String),
    /// A stored value cannot be decoded.
    Corrupt {
        /// The column, and where known the table.
        what: String,
        /// Reason why it cannot be decoded.
        cause: String,
    },
    /// The read exceeds its budget of this many bytes.
    TooLarge(u64),
    /// A table or column is missing.
    Schema(String),
    /// The server refuses this process for good: credentials, privileges or certificates.
    Denied(String),
}

impl DbError {
    /// Creates the error for a stored value that cannot be decoded.
    pub fn corrupt(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.into(), cause: cause.to_string() }
    }

    /// Creates the error for a read that exceeds its budget.
    pub fn over(budget: ReadBudget) -> Self {
        match budget.exceeded() {
            StoreError::TooLarge { budget } => Self::TooLarge(budget),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Returns whether one row of a batch may be the cause, so that retrying rows one by one saves
    /// the others.
    pub const fn is_row_error(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Corrupt { .. })
    }

    /// Returns whether a later retry is pointless.
    pub const fn is_permanent(&self) -> bool {
        !matches!(self, Self::Conflict(_) | Self::ConnectionLost(_) | Self::Unavailable(_))
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(cause)
            | Self::ConnectionLost(cause)
            | Self::Unavailable(cause)
            | Self::Rejected(cause)
            | Self::Schema(cause)
            | Self::Denied(cause) => f.write_str(cause),
            Self::Corrupt { what, cause } => write!(f, "{what} is corrupt: {cause}"),
            Self::TooLarge(limit) => write!(f, "it takes more than {limit} bytes"),
        }
    }
}

impl From<DbError> for StoreError {
    fn from(failure: DbError) -> Self {
        match failure {
            // A running process survives a wrong password or a revoked privilege: an operator will
            // correct it.
            DbError::Conflict(cause)
            | DbError::ConnectionLost(cause)
            | DbError::Unavailable(cause)
            | DbError::Denied(cause) => Self::Unavailable(cause),
            DbError::Rejected(cause) => Self::Refused(cause),
            DbError::Corrupt { what, cause } => Self::Corrupt { what, cause },
            DbError::TooLarge(budget) => Self::TooLarge { budget },
            DbError::Schema(cause) => Self::Schema(cause),
        }
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(ref database) => {
                let code = database.code().unwrap_or_default().into_owned();
                from_sqlstate(&code, format!("{} ({code})", database.message()))
            }
            Error::ColumnDecode { index, source } => {
                Self::corrupt(format!("column {index}"), source)
            }
            Error::ColumnNotFound(name) => Self::corrupt(format!("column {name}"), "it is missing"),
            Error::Decode(source) => Self::corrupt("a column", source),
            Error::Encode(source) => Self::Rejected(source.to_string()),
            Error::PoolTimedOut => {
                Self::Unavailable("no database connection became free in time".to_owned())
            }
            Error::PoolClosed => Self::Unavailable("the store is closed".to_owned()),
            // The error text may contain the URL with its password.
            Error::Configuration(_) => {
                Self::Denied("the database address cannot be understood".to_owned())
            }
            Error::Tls(cause) => Self::Denied(tls(&cause.to_string())),
            Error::Io(cause) if is_tls(&cause) => Self::Denied(tls(&cause.to_string())),
            other => Self::ConnectionLost(other.to_string()),
        }
    }
}

/// Returns whether an I/O error comes from the TLS layer.
fn is_tls(cause: &io::Error) -> bool {
    // The driver wraps errors of its TLS library in this kind; the inner type cannot be named here.
    cause.kind() == io::ErrorKind::InvalidData && cause.get_ref().is_some()
}

/// Turns a failed TLS handshake into advice.
fn tls(cause: &str) -> String {
    let advice = if cause.contains("CaUsedAsEndEntity") {
        "the server presents a CA certificate as its own: create a server certificate with CA:FALSE"
    } else if cause.contains("certificate") {
        "the server's certificate is not accepted: set sslrootcert=FILE in the database's URL to the certificate of the authority \
         that signed it, and use a host name from the certificate; sslmode=require encrypts without checking"
    } else if cause.contains("does not support TLS") {
        "the server offers no TLS: enable it there, or remove sslmode from the database's URL"
    } else {
        "the TLS handshake failed"
    };
    format!("{advice} ({cause})")
}

fn from_sqlstate(code: &str, message: String) -> DbError {
    match code {
        "40001" | "40P01" => DbError::Conflict(message),
        // Shutdown, crash, startup, no free connection slots, idle timeout: all are temporary.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" => {
            DbError::ConnectionLost(message)
        }
        // Another server is the primary; this connection is discarded.
        "25006" => DbError::ConnectionLost(format!("the server is read-only: {message}")),
        "55000" if message.contains("recovery") => {
            DbError::ConnectionLost(format!("the server is a standby: {message}"))
        }
        "28000" | "28P01" => DbError::Denied(format!(
            "Postgres refuses the login: {message}; check user and password in the database's URL, and pg_hba.conf"
        )),
        "3D000" => DbError::Denied(format!(
            "{message}; create the database, or name another one in the database's URL"
        )),
        "42501" => DbError::Denied(format!(
            "the database role lacks a right: {message}; use the role that owns the database, or grant it"
        )),
        "08P01" if message.contains("startup parameter") => DbError::Schema(format!(
            "{message}; a pooler in front of Postgres rejects startup parameters: remove `options` from the \
             database's URL"
        )),
        // Prepared statements of other sessions: the pooler multiplexes statements or transactions.
        "26000" | "42P05" => DbError::Schema(POOLER_BREAKS_LISTEN.to_owned()),
        // Table and column names are ours, so a missing one means a missing migration.
        "42P01" | "42703" | "42883" | "3F000" => DbError::Schema(format!(
            "the database does not have this program's schema ({message}); run `longhaul migrate`"
        )),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => DbError::ConnectionLost(message),
            "21" | "22" | "23" | "54" => DbError::Rejected(message),
            _ => DbError::Unavailable(message),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_states_are_classified_by_what_helps() {
        let of = |code| from_sqlstate(code, String::new());
        assert!(matches!(of("40P01"), DbError::Conflict(_)));
        assert!(matches!(of("57P01"), DbError::ConnectionLost(_)));
        assert!(matches!(of("08006"), DbError::ConnectionLost(_)));
        assert!(matches!(of("22P02"), DbError::Rejected(_)));
        assert!(matches!(of("23514"), DbError::Rejected(_)));
        for code in ["25006", "57P01", "57P02", "57P03", "57P05", "08001", "08P01"] {
            assert!(matches!(of(code), DbError::ConnectionLost(_)), "{code}");
        }
        for code in ["28000", "28P01", "3D000", "42501"] {
            assert!(matches!(of(code), DbError::Denied(_)), "{code}");
        }
        let standby = from_sqlstate("55000", "recovery is in progress".to_owned());
        assert!(matches!(standby, DbError::ConnectionLost(_)));
        assert!(matches!(of("53100"), DbError::Unavailable(_)));
        assert!(matches!(of("57014"), DbError::Unavailable(_)));
        assert!(matches!(of("42P01"), DbError::Schema(_)));
    }

    #[test]
    fn an_unreadable_address_is_not_shown() {
        let error = Error::Configuration("postgres://u:secret@".into());
        assert!(!format!("{:?}", DbError::from(error)).contains("secret"));
    }
}
