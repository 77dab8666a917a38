//! Requests that are open at once on one connection. HTTP/2 carries many, and calls that wait must not keep others from being asked;
//! but what they hold together is bounded: a connection has some for itself, and beyond those all connections share as many as
//! there may be connections.

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

/// Requests at once that every connection may have.
const OWN_SLOTS: usize = 100;

/// The open requests of one connection.
#[derive(Debug)]
pub struct Slots {
    open: Arc<AtomicUsize>,
    shared: Arc<Semaphore>,
}

/// The place of an open request, until its answer was taken.
#[derive(Debug)]
pub struct Slot {
    open: Arc<AtomicUsize>,
    _shared: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// The slots of a connection; beyond its own it shares with others.
    pub fn new(shared: &Arc<Semaphore>) -> Self {
        Self { open: Arc::default(), shared: Arc::clone(shared) }
    }

    /// A place for one more request; `None` when there is none.
    pub fn take(&self) -> Option<Slot> {
        // Requests of a connection are taken one after the other, so nobody else adds to the count meanwhile.
        let is_own = self.open.load(Ordering::Relaxed) < OWN_SLOTS;
        let shared =
            if is_own { None } else { Some(self.shared.clone().try_acquire_owned().ok()?) };
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Slot { open: Arc::clone(&self.open), _shared: shared })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses a request for which there is no place.
pub fn refuse<B>(request: &Request<B>) -> Response {
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
    fn a_connection_has_slots_for_itself_and_shares_the_rest() {
        let shared = Arc::new(Semaphore::new(2));
        let (one, two) = (Slots::new(&shared), Slots::new(&shared));
        let mut held: Vec<Slot> = (0..OWN_SLOTS + 2).map(|_| one.take().unwrap()).collect();
        assert!(one.take().is_none());
        let own: Vec<Slot> = (0..OWN_SLOTS).map(|_| two.take().unwrap()).collect();
        assert!(two.take().is_none());
        held.pop();
        assert!(two.take().is_some());
        drop((held, own));
        assert_eq!(shared.available_permits(), 2);
    }
}
