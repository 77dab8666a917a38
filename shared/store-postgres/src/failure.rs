//! What can go wrong with a statement, sorted by what helps.

use longhaul_store::StoreError;
use sqlx_core::error::Error;

/// What is said when something stands between the store and its database that keeps no sessions.
pub const POOLED: &str = "LISTEN needs a direct connection to Postgres, and a pooler such as pgbouncer in transaction mode \
     breaks it: give the server's own address, or a pool in session mode";

/// Result of talking to the database.
pub type DbResult<T> = Result<T, Failure>;

/// A failed statement or transaction.
#[derive(Debug, Clone)]
pub enum Failure {
    /// A deadlock or a lost race: nothing was done, and doing it again helps.
    Conflict(String),
    /// The connection broke or the server is coming up: whether the last commit took place is not known.
    Lost(String),
    /// The server cannot do it now; nothing was done.
    Unavailable(String),
    /// A row is not storable; nothing was done.
    Refused(String),
    /// A stored value cannot be understood.
    Corrupt {
        /// Which column, of which row.
        what: String,
        /// What is wrong.
        cause: String,
    },
    /// What was to be read takes more than so many bytes.
    TooLarge(u64),
    /// A table or column is missing.
    Schema(String),
}

impl Failure {
    /// A stored value that cannot be understood.
    pub fn corrupt(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.into(), cause: cause.to_string() }
    }

    /// Whether one input of several may be to blame, so that trying each by itself helps the others.
    pub const fn blames_a_row(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Corrupt { .. })
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(why) | Failure::Lost(why) | Failure::Unavailable(why) => {
                Self::Unavailable(why)
            }
            Failure::Refused(why) => Self::Refused(why),
            Failure::Corrupt { what, cause } => Self::Corrupt { what, cause },
            Failure::TooLarge(room) => Self::TooLarge { room },
            Failure::Schema(why) => Self::Schema(why),
        }
    }
}

impl From<Error> for Failure {
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
            Error::Encode(source) => Self::Refused(source.to_string()),
            Error::PoolTimedOut => {
                Self::Unavailable("no database connection came free in time".to_owned())
            }
            Error::PoolClosed => Self::Unavailable("the store is closed".to_owned()),
            // The text of such an error may hold the address with its password.
            Error::Configuration(_) => {
                Self::Unavailable("the database address cannot be understood".to_owned())
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

fn from_sqlstate(code: &str, message: String) -> Failure {
    match code {
        "40001" | "40P01" => Failure::Conflict(message),
        // Shut down by an administrator or a crash, starting up, or out of connections: all pass.
        "57P01" | "57P02" | "57P03" | "53300" | "25P03" => Failure::Lost(message),
        "08P01" if message.contains("startup parameter") => Failure::Schema(POOLED.to_owned()),
        "25006" => Failure::Unavailable(format!("the server is read-only: {message}")),
        // The names of tables and columns are ours: what is missing was not migrated.
        "42P01" | "42703" | "42883" | "3F000" => Failure::Schema(format!(
            "the database has not the schema of this program ({message}); run `longhaul migrate`"
        )),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => Failure::Lost(message),
            "21" | "22" | "23" | "54" => Failure::Refused(message),
            _ => Failure::Unavailable(message),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_sorted_by_what_helps() {
        let of = |code| from_sqlstate(code, String::new());
        assert!(matches!(of("40P01"), Failure::Conflict(_)));
        assert!(matches!(of("57P01"), Failure::Lost(_)));
        assert!(matches!(of("08006"), Failure::Lost(_)));
        assert!(matches!(of("22P02"), Failure::Refused(_)));
        assert!(matches!(of("23514"), Failure::Refused(_)));
        assert!(matches!(of("25006"), Failure::Unavailable(_)));
        assert!(matches!(of("53100"), Failure::Unavailable(_)));
        assert!(matches!(of("57014"), Failure::Unavailable(_)));
        assert!(matches!(of("42P01"), Failure::Schema(_)));
    }

    #[test]
    fn an_address_that_cannot_be_read_does_not_show() {
        let error = Error::Configuration("postgres://u:secret@".into());
        assert!(!format!("{:?}", Failure::from(error)).contains("secret"));
    }
}
