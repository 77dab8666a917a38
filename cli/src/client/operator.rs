//! The operator API of a Longhaul server: HTTP and JSON, below `/operator/v1`.
//!
//! A request that is answered was done once. Whether one whose answer was lost was done is not known: asking again shows
//! it, and redriving again gives the same task again.

use super::{
    ClientError,
    endpoint::{ANSWER, Answered, base_of, http_client, key_of, silent, unreachable},
    redirect,
};
use crate::{args::Deployment, exit::Failure};
use longhaul_runtime::Secret;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A deployment and how to show who we are.
#[derive(Debug, Clone)]
pub struct Operator {
    http: reqwest::Client,
    base: Url,
    key: Option<Secret>,
}

/// An error, as the server writes it.
#[derive(Deserialize)]
struct Refused {
    error: RefusedBecause,
}

#[derive(Deserialize)]
struct RefusedBecause {
    message: String,
}

/// A request without a body.
const NOTHING: Option<&()> = None;

impl Operator {
    /// The deployment that the flags name.
    pub fn new(deployment: &Deployment) -> Result<Self, Failure> {
        let base = base_of(&deployment.url)?;
        let base = Url::parse(base)
            .map_err(|error| Failure::usage(format!("--url: {base:?} is no address: {error}")))?;
        let http = http_client(redirect::policy(false))?;
        Ok(Self { http, base, key: key_of(deployment.api_key.as_ref()) })
    }

    /// Reads what is at a path.
    pub async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Box<RawValue>, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.ask(Method::GET, url, NOTHING).await?)
    }

    /// Does what a path stands for.
    pub async fn post(&self, path: &[&str]) -> Result<Box<RawValue>, Failure> {
        Ok(self.ask(Method::POST, self.url(path)?, NOTHING).await?)
    }

    /// The same, and a refusal is an answer too.
    pub async fn try_post(&self, path: &[&str]) -> Result<Answered, Failure> {
        Ok(self.ask(Method::POST, self.url(path)?, NOTHING).await)
    }

    /// Does what a path stands for, with a body.
    pub async fn post_json<T: Serialize + Sync>(
        &self,
        path: &[&str],
        body: &T,
    ) -> Result<Box<RawValue>, Failure> {
        Ok(self.ask(Method::POST, self.url(path)?, Some(body)).await?)
    }

    /// Puts something at a path.
    pub async fn put<T: Serialize + Sync>(
        &self,
        path: &[&str],
        body: &T,
    ) -> Result<Box<RawValue>, Failure> {
        Ok(self.ask(Method::PUT, self.url(path)?, Some(body)).await?)
    }

    /// Deletes what is at a path.
    pub async fn delete(&self, path: &[&str]) -> Result<Box<RawValue>, Failure> {
        Ok(self.ask(Method::DELETE, self.url(path)?, NOTHING).await?)
    }

    /// The address of a path; a name within it may hold any character.
    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            return Err(Failure::usage(format!("{name:?} cannot be the name of anything")));
        }
        let mut url = self.base.clone();
        let Ok(mut segments) = url.path_segments_mut() else {
            return Err(Failure::usage(format!("--url: {:?} is no address", self.base.as_str())));
        };
        segments.pop_if_empty().extend(["operator", "v1"]).extend(path);
        drop(segments);
        Ok(url)
    }

    async fn ask<T: Serialize + Sync>(
        &self,
        method: Method,
        url: Url,
        body: Option<&T>,
    ) -> Answered {
        let place = self.base.as_str().to_owned();
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let answering = async {
            let response = request.send().await.map_err(|error| unreachable(&place, &error))?;
            redirect::not_followed(&place, &response)?;
            let status = response.status().as_u16();
            let body = response.bytes().await.map_err(|error| unreachable(&place, &error))?;
            result(&place, status, &body)
        };
        let answered = tokio::time::timeout(ANSWER, answering).await;
        answered.unwrap_or_else(|_| Err(silent(&place, ANSWER)))
    }
}

/// The body as it came. One that is empty is null.
fn result(place: &str, status: u16, body: &[u8]) -> Answered {
    if !(200..300).contains(&status) {
        let said = serde_json::from_slice::<Refused>(body).ok();
        return Err(ClientError::operator(place, status, said.map(|said| said.error.message)));
    }
    let body = if body.trim_ascii().is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|error| ClientError::Unreadable(error.to_string()))
}

/// What an answer holds.
pub fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, ClientError> {
    serde_json::from_str(raw.get()).map_err(|error| ClientError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Operator {
        Operator::new(&Deployment { url: url.to_owned(), ..Deployment::default() }).unwrap()
    }

    #[test]
    fn a_name_of_any_characters_stays_one_name() {
        let url = |base: &str| at(base).url(&["schedules", "a/b?", "ü #1"]).unwrap().to_string();
        let rest = "operator/v1/schedules/a%2Fb%3F/%C3%BC%20%231";
        assert_eq!(url("http://h:1"), format!("http://h:1/{rest}"));
        assert_eq!(url("https://h/below/"), format!("https://h/below/{rest}"));
        for name in ["", ".", ".."] {
            assert_eq!(at("http://h").url(&["dead", name]).unwrap_err().code(), 2);
        }
        assert!(
            Operator::new(&Deployment { url: "http://".into(), ..Deployment::default() }).is_err()
        );
    }

    #[test]
    fn an_answer_is_read_by_its_status() {
        assert_eq!(result("http://a", 204, b"").unwrap().get(), "null");
        assert_eq!(result("http://a", 200, b"{\"a\":1.0}").unwrap().get(), "{\"a\":1.0}");
        assert!(matches!(result("http://a", 200, b"<html>"), Err(ClientError::Unreadable(_))));
        let refused = result("http://a", 409, b"{\"error\":{\"code\":\"x\",\"message\":\"no.\"}}");
        assert_eq!(refused.unwrap_err().to_string(), "the server refused: no");
        let refused = result("http://a", 502, b"<html>").unwrap_err();
        assert_eq!(refused.to_string(), "http://a answered HTTP 502");
    }
}
