//! Redirect policy.
//!
//! Nothing goes to another origin (scheme, host and port) than the one that the user named: no key,
//! no message, and no question whose answer would be trusted. Redirects within the origin are
//! followed; the target of any other is named in the error, and the user decides.

use crate::{ClientError, Result};
use reqwest::{
    Response, StatusCode, Url,
    header::LOCATION,
    redirect::{Attempt, Policy},
};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;

/// Follows redirects within the origin of the first address. With `read_only` requests any kind; a
/// request with a body only where the redirect keeps method and body (RFC 9110, 15.4.8 and 15.4.9).
pub fn policy(read_only: bool) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        let keeps_request = read_only || keeps_method_and_body(attempt.status());
        // The first address is the one that the user named; later ones were chosen by the server.
        let first = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(format!("it was moved more than {MAX_REDIRECTS} times"));
        }
        if keeps_request && first == Some(attempt.url().origin()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn keeps_method_and_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// Turns a redirect that was not followed into an error. `requested` is the address that the user
/// knows.
pub fn check_not_redirected(requested: &str, response: &Response) -> Result<()> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(());
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    // A parsed URL is printable ASCII, so it cannot steer a terminal.
    let to = location.and_then(|location| response.url().join(location).ok());
    Err(ClientError::Redirected { url: requested.to_owned(), to: to.map(String::from) })
}

#[cfg(test)]
mod tests {
    use crate::{A2aClient, ClientError, MAX_DOCUMENT_BYTES, OperatorClient, fetch_document};
    use axum::{
        Router,
        http::{StatusCode, Uri, header::LOCATION},
        response::{IntoResponse, Response},
    };
    use longhaul_runtime::spawn;
    use serde_json::value::RawValue;
    use std::sync::{Arc, Mutex};

    /// A server that redirects `/from…`, answers everything else, and records the requests.
    #[derive(Clone)]
    struct RedirectingServer {
        url: String,
        status: StatusCode,
        to: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl RedirectingServer {
        async fn start(status: u16, to: &str) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = Self {
                url: format!("http://{}", listener.local_addr().unwrap()),
                status: StatusCode::from_u16(status).unwrap(),
                to: to.to_owned(),
                requests: Arc::default(),
            };
            let answering = server.clone();
            let answer = |uri: Uri, body: String| async move { answering.answer(&uri, &body) };
            let app = Router::new().fallback(answer);
            spawn("redirecting server", async move { axum::serve(listener, app).await.unwrap() });
            server
        }

        fn answer(&self, uri: &Uri, body: &str) -> Response {
            self.requests.lock().unwrap().push(format!("{uri} {}", body.len()));
            if uri.path().starts_with("/from") {
                return (self.status, [(LOCATION, self.to.clone())]).into_response();
            }
            if uri.path() == "/large" {
                return " ".repeat(MAX_DOCUMENT_BYTES + 1).into_response();
            }
            r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#.into_response()
        }

        fn request_count(&self) -> usize {
            self.requests.lock().unwrap().len()
        }
    }

    const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

    fn no_params() -> Box<RawValue> {
        RawValue::from_string("{}".to_owned()).unwrap()
    }

    fn client(url: &str) -> A2aClient {
        A2aClient::builder(format!("{url}/from")).api_key("key").build().unwrap()
    }

    #[tokio::test]
    async fn a_request_is_not_redirected_to_another_server() {
        let other = RedirectingServer::start(200, "").await;
        for status in REDIRECT_STATUSES {
            let server = RedirectingServer::start(status, &format!("{}/there", other.url)).await;
            let client = client(&server.url);
            let errors = [
                client.call("SendMessage", &no_params()).await.unwrap_err(),
                client.open_stream("SendStreamingMessage", &no_params(), None).await.err().unwrap(),
            ];
            for error in errors {
                let text = error.to_string();
                assert!(text.contains(&format!("{}/there", other.url)), "{text}");
                assert!(!error.is_transient() && !error.may_have_arrived(), "{text}");
            }
            let operator = OperatorClient::builder(format!("{}/from", server.url));
            let error = operator.build_operator().unwrap().queues().await.unwrap_err().to_string();
            assert!(error.contains(&other.url), "{error}");
        }
        assert_eq!(other.request_count(), 0);
    }

    #[tokio::test]
    async fn a_request_is_redirected_within_its_server_if_it_keeps_its_body() {
        for status in REDIRECT_STATUSES {
            let server = RedirectingServer::start(status, "/there").await;
            let answered = client(&server.url).call("SendMessage", &no_params()).await;
            let requests = server.requests.lock().unwrap().clone();
            if matches!(status, 307 | 308) {
                answered.unwrap();
                let length = |at: usize| requests[at].split_once(' ').unwrap().1.to_owned();
                assert_eq!(length(0), length(1), "{requests:?}");
            } else {
                assert!(matches!(answered, Err(ClientError::Redirected { .. })));
                assert_eq!(requests.len(), 1);
            }
        }
    }

    #[tokio::test]
    async fn a_document_is_not_fetched_from_another_server() {
        let other = RedirectingServer::start(200, "").await;
        // The same machine under another name is another origin too.
        let renamed = other.url.replace("127.0.0.1", "localhost");
        for status in REDIRECT_STATUSES {
            for to in [&other.url, &renamed] {
                let server = RedirectingServer::start(status, &format!("{to}/keys")).await;
                let url = format!("{}/from", server.url).parse().unwrap();
                let error = fetch_document(&url, None).await.unwrap_err().to_string();
                assert!(error.contains(&format!("{to}/keys")), "{error}");
            }
        }
        assert_eq!(other.request_count(), 0);
    }

    #[tokio::test]
    async fn a_document_may_move_within_its_server() {
        for status in REDIRECT_STATUSES {
            let server = RedirectingServer::start(status, "/there").await;
            let url = format!("{}/from", server.url).parse().unwrap();
            fetch_document(&url, None).await.unwrap();
            assert_eq!(server.request_count(), 2);
        }
    }

    #[tokio::test]
    async fn endless_redirects_are_given_up() {
        let server = RedirectingServer::start(302, "/from").await;
        let url = format!("{}/from", server.url).parse().unwrap();
        let error = fetch_document(&url, None).await.unwrap_err().to_string();
        assert!(error.contains("moved more than"), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_without_a_target_is_an_error() {
        let server = RedirectingServer::start(307, "http://[").await;
        let url = format!("{}/from", server.url).parse().unwrap();
        let error = fetch_document(&url, None).await.unwrap_err().to_string();
        assert!(error.contains(&server.url) && error.contains("does not say"), "{error}");
    }

    #[tokio::test]
    async fn a_document_that_is_too_large_is_not_read_to_its_end() {
        let server = RedirectingServer::start(200, "").await;
        let url = format!("{}/large", server.url).parse().unwrap();
        let error = fetch_document(&url, None).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
    }
}
