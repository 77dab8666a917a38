//! The operator API of a Longhaul server: JSON over HTTP, below `/operator/v1`.

use crate::{ApiKind, ClientError, Decoded, Result, native::error_message, transport::Transport};
use longhaul_wire::operator::{
    BulkRedriveAnswer, DeadLetterDetail, DeadLetterPage, DeadLetterQuery, DeleteAnswer,
    DismissAnswer, FireAnswer, QueueList, RedriveAnswer, ScheduleList, ScheduleSpec, ScheduleView,
    WorkerList,
};
use reqwest::{Method, Url};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A client of the operator API: it sees every owner's tasks, so its key needs the scope
/// `operator`.
///
/// Requests that change something are safe to repeat: if an answer is lost, the same request
/// answers that it was done already. Calls fail after a minute without an answer.
///
/// ```no_run
/// use longhaul_client::{OperatorClient, operator_json::DeadLetterQuery};
///
/// # async fn example() -> longhaul_client::Result<()> {
/// let operator = OperatorClient::builder("https://agents.example.com").api_key("lh_…").build_operator()?;
/// let query = DeadLetterQuery { agent: Some("reports".to_owned()), ..DeadLetterQuery::default() };
/// for letter in operator.dead_letters(&query).await?.value.dead {
///     let redriven = operator.redrive(&letter.owner, &letter.task_id).await?.value;
///     println!("{} runs again as {}", letter.task_id, redriven.task_id);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OperatorClient {
    transport: Transport,
}

/// A request without a body.
const NO_BODY: Option<&()> = None;

impl OperatorClient {
    pub(crate) const fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// Lists dead letters, the latest first, a page at a time.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or refuses the key or the query.
    pub async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Decoded<DeadLetterPage>> {
        let mut url = self.url(&["dead"])?;
        let pairs = query_pairs(query);
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.request(Method::GET, url, NO_BODY).await
    }

    /// Reads a dead letter with its task and the task's log.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or if the task is not dead.
    pub async fn dead_letter(&self, owner: &str, task: &str) -> Result<Decoded<DeadLetterDetail>> {
        self.request(Method::GET, self.url(&["dead", owner, task])?, NO_BODY).await
    }

    /// Redrives a dead task: begins its work again, as a new task in the same context. A task that
    /// was redriven before answers with the task of that time.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or if the task is not dead or was
    /// dismissed.
    pub async fn redrive(&self, owner: &str, task: &str) -> Result<Decoded<RedriveAnswer>> {
        self.request(Method::POST, self.url(&["dead", owner, task, "redrive"])?, NO_BODY).await
    }

    /// Takes a dead task off the list.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or if the task is not dead or was
    /// redriven.
    pub async fn dismiss(&self, owner: &str, task: &str) -> Result<Decoded<DismissAnswer>> {
        self.request(Method::POST, self.url(&["dead", owner, task, "dismiss"])?, NO_BODY).await
    }

    /// Redrives dead tasks by filter, up to the query's limit. Repeat it while the answer has
    /// [`more`](BulkRedriveAnswer::more); set `before`, or tasks that fail again at once are
    /// redriven without end.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or refuses the key or the query. Tasks that were
    /// redriven before the failure stay so.
    pub async fn redrive_matching(
        &self,
        query: &DeadLetterQuery,
    ) -> Result<Decoded<BulkRedriveAnswer>> {
        self.request(Method::POST, self.url(&["dead", "redrive"])?, Some(query)).await
    }

    /// Reads the queue of each agent.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses the key.
    pub async fn queues(&self) -> Result<Decoded<QueueList>> {
        self.request(Method::GET, self.url(&["queues"])?, NO_BODY).await
    }

    /// Reads the workers of the deployment.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses the key.
    pub async fn workers(&self) -> Result<Decoded<WorkerList>> {
        self.request(Method::GET, self.url(&["workers"])?, NO_BODY).await
    }

    /// Lists the schedules of one owner, or of all.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses the key.
    pub async fn schedules(&self, owner: Option<&str>) -> Result<Decoded<ScheduleList>> {
        let mut url = self.url(&["schedules"])?;
        if let Some(owner) = owner {
            url.query_pairs_mut().append_pair("owner", owner);
        }
        self.request(Method::GET, url, NO_BODY).await
    }

    /// Reads a schedule.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or has no such schedule.
    pub async fn schedule(&self, owner: &str, name: &str) -> Result<Decoded<ScheduleView>> {
        self.request(Method::GET, self.schedule_url(owner, name)?, NO_BODY).await
    }

    /// Creates a schedule, or changes the one with this name.
    ///
    /// ```no_run
    /// # use longhaul_client::{OperatorClient, Result, operator_json::ScheduleSpec};
    /// # async fn example(operator: OperatorClient) -> Result<()> {
    /// let nightly = ScheduleSpec {
    ///     agent: "reports".to_owned(),
    ///     cron: "0 3 * * *".to_owned(),
    ///     time_zone: Some("Europe/Berlin".to_owned()),
    ///     text: Some("Report on yesterday".to_owned()),
    ///     missed: None,
    ///     message: None,
    ///     context_id: None,
    ///     paused: None,
    /// };
    /// operator.put_schedule("acme", "nightly", &nightly).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or refuses the key or the schedule: an unknown agent
    /// or time zone, a cron expression that never fires, both or neither of `message` and `text`.
    pub async fn put_schedule(
        &self,
        owner: &str,
        name: &str,
        spec: &ScheduleSpec,
    ) -> Result<Decoded<ScheduleView>> {
        self.request(Method::PUT, self.schedule_url(owner, name)?, Some(spec)).await
    }

    /// Deletes a schedule. Its tasks stay.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or has no such schedule.
    pub async fn delete_schedule(&self, owner: &str, name: &str) -> Result<Decoded<DeleteAnswer>> {
        self.request(Method::DELETE, self.schedule_url(owner, name)?, NO_BODY).await
    }

    /// Pauses a schedule: it makes no task until it is resumed.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or has no such schedule.
    pub async fn pause_schedule(&self, owner: &str, name: &str) -> Result<Decoded<ScheduleView>> {
        self.request(Method::POST, self.url(&["schedules", owner, name, "pause"])?, NO_BODY).await
    }

    /// Resumes a paused schedule, from its next time on.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or has no such schedule.
    pub async fn resume_schedule(&self, owner: &str, name: &str) -> Result<Decoded<ScheduleView>> {
        self.request(Method::POST, self.url(&["schedules", owner, name, "resume"])?, NO_BODY).await
    }

    /// Makes a task of a schedule now, besides its times. A repeat makes another one.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses the key, or has no such schedule.
    pub async fn fire_schedule(&self, owner: &str, name: &str) -> Result<Decoded<FireAnswer>> {
        self.request(Method::POST, self.url(&["schedules", owner, name, "fire"])?, NO_BODY).await
    }

    fn schedule_url(&self, owner: &str, name: &str) -> Result<Url> {
        self.url(&["schedules", owner, name])
    }

    /// The address of a path; its names may hold any character.
    fn url(&self, path: &[&str]) -> Result<Url> {
        // URL parsers drop or resolve these names, which would address something else.
        if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            return Err(ClientError::InvalidName((*name).to_owned()));
        }
        Ok(self.transport.url(&[&["operator", "v1"], path].concat()))
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Decoded<T>> {
        let place = self.transport.root().as_str();
        let mut request = self.transport.http().request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, body) = self.transport.exchange(request, place).await?;
        Decoded::from_json(read_answer(place, status, &body)?)
    }
}

fn query_pairs(query: &DeadLetterQuery) -> Vec<(&'static str, String)> {
    let DeadLetterQuery { owner, agent, because, from, before, cause, handled, after, limit } =
        query.clone();
    let members = [
        ("owner", owner),
        ("agent", agent),
        ("because", because),
        ("from", from),
        ("before", before),
        ("cause", cause),
        ("limit", limit.map(|limit| limit.to_string())),
        ("handled", handled.map(|handled| handled.to_string())),
        ("after", after),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Returns the body of a success as it came; an empty body is null.
fn read_answer(place: &str, status: u16, body: &[u8]) -> Result<Box<RawValue>> {
    if !(200..300).contains(&status) {
        let (url, api) = (place.to_owned(), ApiKind::Operator);
        return Err(match error_message(body) {
            Some(message) => ClientError::Denied { url, status, message, api },
            None => ClientError::Http { url, status, api },
        });
    }
    // 204 No Content has no body.
    let body = if body.trim_ascii().is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|error| ClientError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> OperatorClient {
        OperatorClient::builder(url).build_operator().unwrap()
    }

    #[test]
    fn a_name_of_any_characters_stays_one_name() {
        let url =
            |base: &str| client(base).url(&["schedules", "a/b?", "ü #1"]).unwrap().to_string();
        let rest = "operator/v1/schedules/a%2Fb%3F/%C3%BC%20%231";
        assert_eq!(url("http://h:1"), format!("http://h:1/{rest}"));
        assert_eq!(url("https://h/below/"), format!("https://h/below/{rest}"));
        for name in ["", ".", ".."] {
            let refused = client("http://h").url(&["dead", name]).unwrap_err();
            assert_eq!(refused, ClientError::InvalidName(name.to_owned()));
        }
        assert!(OperatorClient::builder("http://").build_operator().is_err());
    }

    #[test]
    fn a_query_holds_what_is_set() {
        let query = DeadLetterQuery {
            owner: Some("a&b".to_owned()),
            handled: Some(true),
            limit: Some(5),
            ..DeadLetterQuery::default()
        };
        let pairs = query_pairs(&query);
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(pairs, [("owner", "a&b"), ("limit", "5"), ("handled", "true")]);
    }

    #[test]
    fn an_answer_is_read_by_its_status() {
        let read = |status, body: &[u8]| read_answer("http://a", status, body);
        assert_eq!(read(204, b"").unwrap().get(), "null");
        assert_eq!(read(200, b"{\"a\":1.0}").unwrap().get(), "{\"a\":1.0}");
        assert!(matches!(read(200, b"<html>"), Err(ClientError::Unreadable(_))));
        let refused = read(409, b"{\"error\":{\"code\":\"x\",\"message\":\"no.\"}}");
        assert_eq!(refused.unwrap_err().to_string(), "the server refused: no");
        assert_eq!(read(502, b"<html>").unwrap_err().to_string(), "http://a answered HTTP 502");
    }
}
