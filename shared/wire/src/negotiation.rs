//! Version negotiation (A2A 3.6): a stated version decides. Without one, the method name or the
//! path decides if only one version has it.

use crate::{
    Dialect, Operation, ProtocolError, TaskRef,
    raw::{JsonPath, Violations, object, shortened},
};
use serde_json::value::RawValue;

/// Version that an absent or empty header means (A2A 3.6.2).
const DEFAULT_VERSION: &str = "0.3";

/// Served versions and the handling of requests without a version. 1.0 is always served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiation {
    /// Set to accept a method name or path of 1.0 as a statement of 1.0. Unset, an absent version
    /// means 0.3, as the specification says.
    pub assume: bool,
    /// Set to serve 0.3.
    pub v0_3: bool,
    /// Set to serve 0.1.
    pub v0_1: bool,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self { assume: true, v0_3: true, v0_1: true }
    }
}

impl Negotiation {
    /// Serves 1.0 only.
    pub const ONLY_V1_0: Self = Self { assume: true, v0_3: false, v0_1: false };

    /// Finds the dialect and operation of a JSON-RPC call. `version` is the `A2A-Version` header or
    /// query parameter.
    ///
    /// Some method names exist in both 0.3 and 0.1. The task id then decides: an id that this
    /// server cannot have made may be one that a client of 0.1 chose. A failed lookup revises the
    /// guess; see [`error_dialect`](Self::error_dialect).
    pub fn call(
        self,
        version: Option<&str>,
        method: &str,
        params: &RawValue,
    ) -> Result<(Dialect, Operation), ProtocolError> {
        let (dialect, operation) = self.method(version, method)?;
        let older = dialect == Dialect::V0_3
            && self.v0_1
            // A stated version is never second-guessed.
            && stated(version).is_none()
            && Operation::from_v01_method(method) == Some(operation)
            && has_client_chosen_id(params);
        Ok(if older { (Dialect::V0_1, operation) } else { (dialect, operation) })
    }

    /// Dialect in which to write an error of a call that was read as `dialect`. A call may count as
    /// 0.1 only because of its task id. If no such task exists, the caller is a client of 0.3 with
    /// a malformed id.
    pub fn error_dialect(
        self,
        version: Option<&str>,
        method: &str,
        dialect: Dialect,
        error: &ProtocolError,
    ) -> Dialect {
        // Only these errors can result from a wrong guess by task id.
        let open =
            matches!(error, ProtocolError::TaskNotFound { .. } | ProtocolError::InvalidParams(_));
        let by_name = self.method(version, method).ok().filter(|_| open);
        by_name.map_or(dialect, |(dialect, _)| dialect)
    }

    /// Finds the dialect by method name alone. Names that 0.3 and 0.1 share count as 0.3.
    pub fn method(
        self,
        version: Option<&str>,
        method: &str,
    ) -> Result<(Dialect, Operation), ProtocolError> {
        let dialect = match stated(version) {
            Some(version) => self.served_dialect(version)?,
            None => self.dialect_of_method(method)?,
        };
        match dialect.operation(method) {
            Some(operation) => Ok((dialect, operation)),
            None => Err(ProtocolError::MethodNotFound(shortened(method))),
        }
    }

    /// Finds the dialect of an HTTP path without `/v1`, which only 1.0 has. A stated version takes
    /// precedence.
    pub fn for_v1_path(self, version: Option<&str>) -> Result<Dialect, ProtocolError> {
        match stated(version) {
            Some(version) => self.served_http_dialect(version),
            None if self.assume => Ok(Dialect::V1_0),
            None => self.served_http_dialect(DEFAULT_VERSION),
        }
    }

    /// Finds the dialect of an HTTP path with the prefix `/v1`, which only 0.3 has. A stated
    /// version takes precedence.
    pub fn for_v0_path(self, version: Option<&str>) -> Result<Dialect, ProtocolError> {
        self.served_http_dialect(stated(version).unwrap_or(DEFAULT_VERSION))
    }

    /// Served versions, the newest first.
    pub const fn supported(self) -> &'static str {
        match (self.v0_3, self.v0_1) {
            (false, false) => "1.0",
            (true, false) => "1.0, 0.3",
            (false, true) => "1.0, 0.1",
            (true, true) => "1.0, 0.3, 0.1",
        }
    }

    fn dialect_of_method(self, method: &str) -> Result<Dialect, ProtocolError> {
        let has = |dialect: Dialect| dialect.operation(method).is_some();
        match (has(Dialect::V0_3), has(Dialect::V0_1)) {
            // With 0.3 switched off, a shared name can only mean 0.1.
            (true, true) if self.v0_1 && !self.v0_3 => Ok(Dialect::V0_1),
            // Names of 0.3 count as 0.3, even those that 0.1 shares.
            (true, _) => self.served_dialect(Dialect::V0_3.version()),
            (false, true) => self.served_dialect(Dialect::V0_1.version()),
            // An unknown name counts as 1.0 and ends as "method not found".
            (false, false) if self.assume => Ok(Dialect::V1_0),
            (false, false) => self.served_dialect(DEFAULT_VERSION),
        }
    }

    fn served_http_dialect(self, version: &str) -> Result<Dialect, ProtocolError> {
        // 0.1 has JSON-RPC only.
        let over_http = Self { v0_1: false, ..self };
        Ok(match over_http.served_dialect(version)? {
            // HTTP+JSON of 0.3 uses `ProtoJSON`.
            Dialect::V0_3 => Dialect::V0_3Proto,
            dialect @ (Dialect::V1_0 | Dialect::V0_3Proto | Dialect::V0_1) => dialect,
        })
    }

    /// Finds the dialect of a served version. Only Major.Minor counts.
    fn served_dialect(self, version: &str) -> Result<Dialect, ProtocolError> {
        let served = match Dialect::from_version(version) {
            Some(Dialect::V1_0) => true,
            Some(Dialect::V0_3 | Dialect::V0_3Proto) => self.v0_3,
            Some(Dialect::V0_1) => self.v0_1,
            None => false,
        };
        Dialect::from_version(version).filter(|_| served).ok_or_else(|| self.unsupported(version))
    }

    fn unsupported(self, version: &str) -> ProtocolError {
        let supported = self.supported();
        ProtocolError::VersionNotSupported { asked: shortened(version), supported }
    }
}

fn stated(version: Option<&str>) -> Option<&str> {
    version.map(str::trim).filter(|version| !version.is_empty())
}

/// Tells if the parameters hold a task id that this server cannot have made.
fn has_client_chosen_id(params: &RawValue) -> bool {
    // Violations are no errors here; the parameters are read in full later.
    let scratch = Violations::default();
    let at = JsonPath::root(&scratch);
    let id = object(params.into(), &at, ["id"]).and_then(|[id]| id.optional_text(&at));
    id.is_ok_and(|id| {
        id.is_some_and(|id| matches!(TaskRef::parse_client_id(id), TaskRef::Chosen(_)))
    })
}
