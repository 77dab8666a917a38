//! Slots for the open requests of HTTP/2 connections.
//!
//! A connection carries many requests, and calls that wait must not block others; but what they
//! hold together is bounded. Each connection has slots of its own; beyond those, all connections
//! share as many as there may be connections.

use axum::{body::Body, extract::Request, response::Response};
use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use longhaul_proto::transport_error;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Code;

/// Requests that every connection may have open without using shared slots.
const OWN_SLOTS_PER_CONNECTION: usize = 100;

/// The request slots of one connection.
#[derive(Debug)]
pub struct RequestSlots {
    open: Arc<AtomicUsize>,
    shared: Arc<Semaphore>,
}

/// The slot of an open request, until its response was taken.
#[derive(Debug)]
pub struct RequestSlot {
    open: Arc<AtomicUsize>,
    _shared: Option<OwnedSemaphorePermit>,
}

impl RequestSlots {
    /// Slots of a new connection, which shares `shared` with all others.
    pub fn new(shared: &Arc<Semaphore>) -> Self {
        Self { open: Arc::default(), shared: Arc::clone(shared) }
    }

    /// Takes a slot for one more request; `None` when there is none.
    pub fn try_acquire(&self) -> Option<RequestSlot> {
        // Requests of one connection are accepted one after the other, so the count cannot rise in
        // between.
        let is_own = self.open.load(Ordering::Relaxed) < OWN_SLOTS_PER_CONNECTION;
        let shared =
            if is_own { None } else { Some(self.shared.clone().try_acquire_owned().ok()?) };
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(RequestSlot { open: Arc::clone(&self.open), _shared: shared })
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses a request for which there is no slot, in the form of its binding.
pub fn too_many_requests<B>(request: &Request<B>) -> Response {
    let why = "Too many requests are open on connections that have many. Try again in a moment, or use further connections";
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
        return transport_error(Code::Unavailable, "UNAVAILABLE", why).into_http();
    }
    let error = serde_json::json!({"code": 503, "status": "UNAVAILABLE", "message": why});
    let mut response = Response::new(Body::from(serde_json::json!({"error": error}).to_string()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_own_slots_and_shares_the_rest() {
        let shared = Arc::new(Semaphore::new(2));
        let (one, two) = (RequestSlots::new(&shared), RequestSlots::new(&shared));
        let mut held: Vec<RequestSlot> =
            (0..OWN_SLOTS_PER_CONNECTION + 2).map(|_| one.try_acquire().unwrap()).collect();
        assert!(one.try_acquire().is_none());
        let own: Vec<RequestSlot> =
            (0..OWN_SLOTS_PER_CONNECTION).map(|_| two.try_acquire().unwrap()).collect();
        assert!(two.try_acquire().is_none());
        held.pop();
        assert!(two.try_acquire().is_some());
        drop((held, own));
        assert_eq!(shared.available_permits(), 2);
    }
}
