//! Answers that send the client elsewhere.
//!
//! Nothing goes to another server than the one that the user named: no key, no message, and no question whose answer would
//! be trusted. A server may move things within its own origin (scheme, host and port); what it sends further is told to the
//! user, who decides.

use super::ClientError;
use reqwest::{
    Response, StatusCode, Url,
    header::LOCATION,
    redirect::{Attempt, Policy},
};

/// More than any server needs that moved something.
const MOST: usize = 10;

/// Follows moves within the origin of the first address. `reading` says whether only documents are read: a request with a
/// body goes on only where it stays what it is (RFC 9110, 15.4.8 and 15.4.9).
pub(super) fn policy(reading: bool) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        let keeps = reading || keeps_the_request(attempt.status());
        let first = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > MOST {
            return attempt.error(format!("it was moved more than {MOST} times"));
        }
        if keeps && first == Some(attempt.url().origin()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn keeps_the_request(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// An answer that sends the client elsewhere, as an error. `asked` is the address that the user knows.
pub(super) fn not_followed(asked: &str, response: &Response) -> Result<(), ClientError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(());
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    // An address that was parsed holds nothing but ASCII that can be shown.
    let to = location.and_then(|location| response.url().join(location).ok());
    Err(ClientError::Elsewhere { url: asked.to_owned(), to: to.map(String::from) })
}

#[cfg(test)]
mod tests {
    use crate::{
        args::{Deployment, Server},
        client::{ClientError, Endpoint, Operator, fetch},
    };
    use axum::{
        Router,
        http::{StatusCode, Uri, header::LOCATION},
        response::{IntoResponse, Response},
    };
    use longhaul_runtime::spawn;
    use serde_json::value::RawValue;
    use std::sync::{Arc, Mutex};

    /// A server that sends `/from...` on and answers everything else; remembers what it was asked.
    #[derive(Clone)]
    struct Fake {
        url: String,
        status: StatusCode,
        to: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Fake {
        async fn start(status: u16, to: &str) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let fake = Self {
                url: format!("http://{}", listener.local_addr().unwrap()),
                status: StatusCode::from_u16(status).unwrap(),
                to: to.to_owned(),
                asked: Arc::default(),
            };
            let answering = fake.clone();
            let answer = |uri: Uri, body: String| async move { answering.answer(&uri, &body) };
            let app = Router::new().fallback(answer);
            spawn("fake", async move { axum::serve(listener, app).await.unwrap() });
            fake
        }

        fn answer(&self, uri: &Uri, body: &str) -> Response {
            self.asked.lock().unwrap().push(format!("{uri} {}", body.len()));
            if uri.path().starts_with("/from") {
                return (self.status, [(LOCATION, self.to.clone())]).into_response();
            }
            r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#.into_response()
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

    fn nothing() -> Box<RawValue> {
        RawValue::from_string("{}".to_owned()).unwrap()
    }

    fn endpoint(url: &str) -> Endpoint {
        let key = Some("key".to_owned());
        let url = format!("{url}/from");
        Endpoint::new(&Server { url, api_key: key, ..Server::default() }).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_not_taken_to_another_server() {
        let other = Fake::start(200, "").await;
        for status in STATUSES {
            let server = Fake::start(status, &format!("{}/there", other.url)).await;
            let endpoint = endpoint(&server.url);
            let errors = [
                endpoint.call("SendMessage", &nothing()).await.unwrap_err(),
                endpoint.open("SendStreamingMessage", &nothing(), None).await.err().unwrap(),
            ];
            for error in errors {
                let text = error.to_string();
                assert!(text.contains(&format!("{}/there", other.url)), "{text}");
                assert!(text.contains("--url"), "{text}");
                assert!(!error.is_transient() && !error.may_have_arrived(), "{text}");
            }
            let deployment =
                Deployment { url: format!("{}/from", server.url), ..Deployment::default() };
            let operator = Operator::new(&deployment).unwrap();
            let error = operator.get(&["queues"], &[]).await.unwrap_err().to_string();
            assert!(error.contains(&other.url), "{error}");
        }
        assert_eq!(other.asked(), 0);
    }

    #[tokio::test]
    async fn a_request_goes_on_within_its_server_where_it_stays_what_it_is() {
        for status in STATUSES {
            let server = Fake::start(status, "/there").await;
            let answered = endpoint(&server.url).call("SendMessage", &nothing()).await;
            let asked = server.asked.lock().unwrap().clone();
            if matches!(status, 307 | 308) {
                answered.unwrap();
                let length = |at: usize| asked[at].split_once(' ').unwrap().1.to_owned();
                assert_eq!(length(0), length(1), "{asked:?}");
            } else {
                assert!(matches!(answered, Err(ClientError::Elsewhere { .. })));
                assert_eq!(asked.len(), 1);
            }
        }
    }

    #[tokio::test]
    async fn a_document_is_not_taken_from_another_server() {
        let other = Fake::start(200, "").await;
        // The same machine by another name is another origin too.
        let renamed = other.url.replace("127.0.0.1", "localhost");
        for status in STATUSES {
            for to in [&other.url, &renamed] {
                let server = Fake::start(status, &format!("{to}/keys")).await;
                let url = format!("{}/from", server.url).parse().unwrap();
                let error = fetch(&url, None).await.unwrap_err().to_string();
                assert!(error.contains(&format!("{to}/keys")), "{error}");
            }
        }
        assert_eq!(other.asked(), 0);
    }

    #[tokio::test]
    async fn a_document_may_move_within_its_server() {
        for status in STATUSES {
            let server = Fake::start(status, "/there").await;
            let url = format!("{}/from", server.url).parse().unwrap();
            fetch(&url, None).await.unwrap();
            assert_eq!(server.asked(), 2);
        }
    }

    #[tokio::test]
    async fn a_document_that_moves_without_end_is_given_up() {
        let server = Fake::start(302, "/from").await;
        let url = format!("{}/from", server.url).parse().unwrap();
        let error = fetch(&url, None).await.unwrap_err().to_string();
        assert!(error.contains("moved more than"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_say_where_it_sends_is_named() {
        let server = Fake::start(307, "http://[").await;
        let url = format!("{}/from", server.url).parse().unwrap();
        let error = fetch(&url, None).await.unwrap_err().to_string();
        assert!(error.contains(&server.url) && error.contains("does not say"), "{error}");
    }
}
