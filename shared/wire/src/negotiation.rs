//! How the version of a request is found out (A2A 3.6): by what the client states, and where it states nothing by the name or
//! the place that only one version has.

use crate::{
    Dialect, Operation, ProtocolError, TaskRef,
    dialect::shortened,
    raw::{JsonPath, Violations, object},
};
use serde_json::value::RawValue;

/// What an absent or empty version means (A2A 3.6.2).
const UNSTATED: &str = "0.3";

/// How versions are found out, and which are served. 1.0 always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiation {
    /// Whether a name that only 1.0 has decides, where the version is not stated. Off: absent means 0.3, as the
    /// specification has it.
    pub assume: bool,
    /// Whether 0.3 is served.
    pub v0_3: bool,
    /// Whether 0.1 is served.
    pub v0_1: bool,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self { assume: true, v0_3: true, v0_1: true }
    }
}

impl Negotiation {
    /// 1.0 and no other version.
    pub const ONLY_V1_0: Self = Self { assume: true, v0_3: false, v0_1: false };

    /// The dialect and operation of a JSON-RPC call. `version` is the `A2A-Version` header or query parameter.
    ///
    /// 0.3 and 0.1 share the names of some methods. There the task that is asked for decides: an id that this server cannot have
    /// made is one that a client of 0.1 may have chosen. Whether it has shows when there is such a task: see
    /// [`error_dialect`](Self::of_error).
    pub fn call(
        self,
        version: Option<&str>,
        method: &str,
        params: &RawValue,
    ) -> Result<(Dialect, Operation), ProtocolError> {
        let (dialect, operation) = self.method(version, method)?;
        let older = dialect == Dialect::V0_3
            && self.v0_1
            && stated(version).is_none()
            && Operation::from_v01_method(method) == Some(operation)
            && names_chosen(params);
        Ok(if older { (Dialect::V0_1, operation) } else { (dialect, operation) })
    }

    /// The dialect in which an error of a call is written that was taken to be of `dialect`. What made it one of 0.1 may be the
    /// id of its task alone: where nothing came of that, a client of 0.3 has asked for something that is no id of a task.
    pub fn error_dialect(
        self,
        version: Option<&str>,
        method: &str,
        dialect: Dialect,
        error: &ProtocolError,
    ) -> Dialect {
        let open =
            matches!(error, ProtocolError::TaskNotFound { .. } | ProtocolError::InvalidParams(_));
        let by_name = self.method(version, method).ok().filter(|_| open);
        by_name.map_or(dialect, |(dialect, _)| dialect)
    }

    /// As [`call`](Self::call), by the name alone: one that 0.3 and 0.1 share is of 0.3.
    pub fn method(
        self,
        version: Option<&str>,
        method: &str,
    ) -> Result<(Dialect, Operation), ProtocolError> {
        let dialect = match stated(version) {
            Some(version) => self.served_dialect(version)?,
            None => self.of_name(method)?,
        };
        match dialect.operation(method) {
            Some(operation) => Ok((dialect, operation)),
            None => Err(ProtocolError::MethodNotFound(shortened(method))),
        }
    }

    /// The dialect of an HTTP request whose path only 1.0 has: one without `/v1`. A version that is stated counts more.
    pub fn for_v1_path(self, version: Option<&str>) -> Result<Dialect, ProtocolError> {
        match stated(version) {
            Some(version) => self.over_http(version),
            None if self.assume => Ok(Dialect::V1_0),
            None => self.over_http(UNSTATED),
        }
    }

    /// The dialect of an HTTP request whose path only 0.3 has: one that begins with `/v1`. A version that is stated counts
    /// more.
    pub fn for_v0_path(self, version: Option<&str>) -> Result<Dialect, ProtocolError> {
        self.over_http(stated(version).unwrap_or(UNSTATED))
    }

    /// The versions that are served, the newest first.
    pub const fn supported(self) -> &'static str {
        match (self.v0_3, self.v0_1) {
            (false, false) => "1.0",
            (true, false) => "1.0, 0.3",
            (false, true) => "1.0, 0.1",
            (true, true) => "1.0, 0.3, 0.1",
        }
    }

    fn of_name(self, method: &str) -> Result<Dialect, ProtocolError> {
        let has = |dialect: Dialect| dialect.operation(method).is_some();
        match (has(Dialect::V0_3), has(Dialect::V0_1)) {
            // Where 0.3 is not served, a name that 0.1 has too is of 0.1.
            (true, true) if self.v0_1 && !self.v0_3 => Ok(Dialect::V0_1),
            (true, _) => self.served_dialect(Dialect::V0_3.version()),
            (false, true) => self.served_dialect(Dialect::V0_1.version()),
            (false, false) if self.assume => Ok(Dialect::V1_0),
            (false, false) => self.served_dialect(UNSTATED),
        }
    }

    fn over_http(self, version: &str) -> Result<Dialect, ProtocolError> {
        // 0.1 had JSON-RPC only.
        let over_http = Self { v0_1: false, ..self };
        Ok(match over_http.served_dialect(version)? {
            Dialect::V0_3 => Dialect::V0_3Proto,
            dialect @ (Dialect::V1_0 | Dialect::V0_3Proto | Dialect::V0_1) => dialect,
        })
    }

    /// The dialect of a version that is served; only Major.Minor counts.
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

/// Whether the parameters name a task by an id that this server cannot have made.
fn names_chosen(params: &RawValue) -> bool {
    let aside = Violations::default();
    let at = JsonPath::root(&aside);
    let id = object(params.into(), &at, ["id"]).and_then(|[id]| id.some_text(&at));
    id.is_ok_and(|id| id.is_some_and(|id| matches!(TaskRef::chosen(id), TaskRef::Chosen(_))))
}
