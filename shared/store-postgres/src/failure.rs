//! What can go wrong with a statement, sorted by what helps.

use longhaul_store::StoreError;
use sqlx_core::error::Error;
use std::{fmt, io};

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
    /// The server does not let this process in or do its work, and waiting does not change that: credentials, rights,
    /// certificates.
    Denied(String),
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

    /// Whether trying again later is pointless.
    pub const fn is_permanent(&self) -> bool {
        !matches!(self, Self::Conflict(_) | Self::Lost(_) | Self::Unavailable(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(cause)
            | Self::Lost(cause)
            | Self::Unavailable(cause)
            | Self::Refused(cause)
            | Self::Schema(cause)
            | Self::Denied(cause) => f.write_str(cause),
            Self::Corrupt { what, cause } => write!(f, "{what} is corrupt: {cause}"),
            Self::TooLarge(limit) => write!(f, "it takes more than {limit} bytes"),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            // A running process outlives a mistake with a password or a right, which somebody will mend.
            Failure::Conflict(why)
            | Failure::Lost(why)
            | Failure::Unavailable(why)
            | Failure::Denied(why) => Self::Unavailable(why),
            Failure::Refused(why) => Self::Refused(why),
            Failure::Corrupt { what, cause } => Self::Corrupt { what, cause },
            Failure::TooLarge(budget) => Self::TooLarge { budget },
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
                Self::Denied("the database address cannot be understood".to_owned())
            }
            Error::Tls(cause) => Self::Denied(tls(&cause.to_string())),
            Error::Io(cause) if is_tls(&cause) => Self::Denied(tls(&cause.to_string())),
            other => Self::Lost(other.to_string()),
        }
    }
}

/// Whether a broken connection is one that TLS refused.
fn is_tls(cause: &io::Error) -> bool {
    // The driver hands the error of its TLS library on in this kind, without a type that can be named here.
    cause.kind() == io::ErrorKind::InvalidData && cause.get_ref().is_some()
}

/// What to do about a failed TLS handshake.
fn tls(cause: &str) -> String {
    let advice = if cause.contains("CaUsedAsEndEntity") {
        "the server shows the certificate of an authority as its own: make one for the server, with CA:FALSE"
    } else if cause.contains("certificate") {
        "the server's certificate is not accepted: name the file of the authority that signed it as sslrootcert=FILE in the \
         database's URL, and use a host name that the certificate bears; sslmode=require encrypts without checking"
    } else if cause.contains("does not support TLS") {
        "the server offers no TLS: turn it on there, or leave sslmode out of the database's URL"
    } else {
        "no encrypted connection comes about"
    };
    format!("{advice} ({cause})")
}

fn from_sqlstate(code: &str, message: String) -> Failure {
    match code {
        "40001" | "40P01" => Failure::Conflict(message),
        // Shut down by an administrator or a crash, starting up, out of connections, or idle for too long: all pass.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" => Failure::Lost(message),
        // Another server can write; this connection does not come back to anybody.
        "25006" => Failure::Lost(format!("the server is read-only: {message}")),
        "55000" if message.contains("recovery") => {
            Failure::Lost(format!("the server is a standby: {message}"))
        }
        "28000" | "28P01" => Failure::Denied(format!(
            "Postgres refuses the login: {message}; check user and password in the database's URL, and pg_hba.conf"
        )),
        "3D000" => Failure::Denied(format!(
            "{message}; create the database, or name another one in the database's URL"
        )),
        "42501" => Failure::Denied(format!(
            "the database role lacks a right: {message}; use the role that owns the database, or grant it"
        )),
        "08P01" if message.contains("startup parameter") => Failure::Schema(format!(
            "{message}; a pooler that refuses startup parameters stands before Postgres: leave `options` out of the \
             database's URL"
        )),
        // Prepared statements of other sessions: a pooler hands each statement or transaction to another one.
        "26000" | "42P05" => Failure::Schema(POOLED.to_owned()),
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
        for code in ["25006", "57P01", "57P02", "57P03", "57P05", "08001", "08P01"] {
            assert!(matches!(of(code), Failure::Lost(_)), "{code}");
        }
        for code in ["28000", "28P01", "3D000", "42501"] {
            assert!(matches!(of(code), Failure::Denied(_)), "{code}");
        }
        let standby = from_sqlstate("55000", "recovery is in progress".to_owned());
        assert!(matches!(standby, Failure::Lost(_)));
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
