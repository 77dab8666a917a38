//! Bindings: decode requests, call the service, encode results.

mod address;
mod app_state;
mod body;
mod card;
mod card_format;
mod dispatcher;
mod forwarded;
mod grpc;
mod host;
mod http;
mod jsonrpc;
mod last_modified;
mod operator;
mod origin;
mod perform;
mod request;
mod response;
mod router;
mod sse;

pub use address::Addresses;
pub use app_state::AppState;
pub use body::BodyReader;
pub use dispatcher::Dispatcher;
pub use forwarded::Peer;
pub use last_modified::LastModifiedTimes;
#[cfg(test)]
pub use request::client_rules;
#[cfg(test)]
pub use router::router;

#[cfg(test)]
mod tests;
