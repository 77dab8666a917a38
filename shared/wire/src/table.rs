//! The one mapping of errors to codes of every binding (A2A 5.4). Exhaustive: a new error does not compile until it
//! has its row.

use crate::ProtocolError;

/// Status codes of gRPC that are used here; the number is the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum GrpcStatus {
    /// `INVALID_ARGUMENT`
    InvalidArgument = 3,
    /// `NOT_FOUND`
    NotFound = 5,
    /// `PERMISSION_DENIED`
    PermissionDenied = 7,
    /// `RESOURCE_EXHAUSTED`
    ResourceExhausted = 8,
    /// `FAILED_PRECONDITION`
    FailedPrecondition = 9,
    /// `UNIMPLEMENTED`
    Unimplemented = 12,
    /// `INTERNAL`
    Internal = 13,
    /// `UNAVAILABLE`
    Unavailable = 14,
    /// `UNAUTHENTICATED`
    Unauthenticated = 16,
}

impl GrpcStatus {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }
    /// The name, as in `google.rpc.Code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// An error in the codes of every binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// JSON-RPC `error.code`.
    pub json_rpc: i32,
    /// HTTP status of the HTTP+JSON binding.
    pub http: u16,
    /// gRPC status.
    pub grpc: GrpcStatus,
}

const fn row(json_rpc: i32, http: u16, grpc: GrpcStatus) -> Codes {
    Codes { json_rpc, http, grpc }
}

/// The codes of an error.
pub const fn codes(error: &ProtocolError) -> Codes {
    use GrpcStatus as G;
    use ProtocolError as E;
    match error {
        E::TaskNotFound { .. } => row(-32001, 404, G::NotFound),
        E::TaskNotCancelable { .. } => row(-32002, 400, G::FailedPrecondition),
        E::PushNotificationNotSupported => row(-32003, 400, G::FailedPrecondition),
        E::UnsupportedOperation(_) => row(-32004, 400, G::FailedPrecondition),
        E::ContentTypeNotSupported { .. } => row(-32005, 400, G::InvalidArgument),
        E::InvalidAgentResponse(_) => row(-32006, 500, G::Internal),
        E::ExtendedAgentCardNotConfigured => row(-32007, 400, G::FailedPrecondition),
        E::ExtensionSupportRequired { .. } => row(-32008, 400, G::FailedPrecondition),
        E::VersionNotSupported { .. } => row(-32009, 400, G::FailedPrecondition),
        E::ParseError(_) => row(-32700, 400, G::InvalidArgument),
        E::InvalidRequest(_) => row(-32600, 400, G::InvalidArgument),
        E::MethodNotFound(_) => row(-32601, 404, G::Unimplemented),
        E::InvalidParams(_) => row(-32602, 400, G::InvalidArgument),
        E::Unauthenticated { .. } => row(-32050, 401, G::Unauthenticated),
        E::PermissionDenied { .. } => row(-32051, 403, G::PermissionDenied),
        E::ResourceExhausted { .. } => row(-32052, 429, G::ResourceExhausted),
        E::Unavailable { .. } => row(-32053, 503, G::Unavailable),
        E::TooLarge { .. } => row(-32600, 413, G::ResourceExhausted),
        E::Internal { .. } => row(-32603, 500, G::Internal),
    }
}
