//! Error codes of every binding (A2A 5.4). The match is exhaustive: a new error does not compile
//! without its row.

use crate::{Dialect, ProtocolError};

/// gRPC status codes in use; the discriminant is the code.
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
    /// Numeric code on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }
    /// Name of the code in `google.rpc.Code`.
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

/// Codes of one error in every binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCodes {
    /// JSON-RPC `error.code`.
    pub json_rpc: i32,
    /// HTTP status of the HTTP+JSON binding.
    pub http: u16,
    /// gRPC status.
    pub grpc: GrpcStatus,
}

const fn row(json_rpc: i32, http: u16, grpc: GrpcStatus) -> ErrorCodes {
    ErrorCodes { json_rpc, http, grpc }
}

/// Looks up the codes of an error.
pub const fn codes(error: &ProtocolError) -> ErrorCodes {
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
        // Codes from -32050 on are Longhaul's; JSON-RPC leaves them to the server.
        E::Unauthenticated { .. } => row(-32050, 401, G::Unauthenticated),
        E::PermissionDenied { .. } => row(-32051, 403, G::PermissionDenied),
        E::ResourceExhausted { .. } => row(-32052, 429, G::ResourceExhausted),
        E::Unavailable { .. } => row(-32053, 503, G::Unavailable),
        // JSON-RPC has no code for oversized bodies, while HTTP and gRPC do.
        E::TooLarge { .. } => row(-32600, 413, G::ResourceExhausted),
        E::Internal { .. } => row(-32603, 500, G::Internal),
    }
}

/// JSON-RPC code of an invalid request.
const INVALID_REQUEST: i32 = -32600;

impl Dialect {
    /// Looks up the codes of an error in this dialect. Before 1.0 a missing extension has no code
    /// of its own and is an invalid request. An unsupported version belongs to no dialect and keeps
    /// its 1.0 code.
    pub const fn codes(self, error: &ProtocolError) -> ErrorCodes {
        let codes = codes(error);
        if self.form().is_some() && matches!(error, ProtocolError::ExtensionSupportRequired { .. })
        {
            ErrorCodes { json_rpc: INVALID_REQUEST, ..codes }
        } else {
            codes
        }
    }
}
