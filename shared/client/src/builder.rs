//! Server address and credentials.

use crate::{A2aClient, OperatorClient, Result, transport::Transport};
use longhaul_runtime::Secret;

/// Builds clients of one server: see [`A2aClient::builder`] and [`OperatorClient::builder`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    url: String,
    agent: Option<String>,
    api_key: Option<Secret>,
    run_reports: bool,
}

impl A2aClient {
    /// Starts building a client of the server at this address.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url)
    }
}

impl OperatorClient {
    /// Starts building a client of the server at this address.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url)
    }
}

impl ClientBuilder {
    fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), agent: None, api_key: None, run_reports: false }
    }

    /// Addresses this agent. Without it, the server's default agent answers.
    #[must_use]
    pub fn agent(mut self, name: impl Into<String>) -> Self {
        self.agent = Some(name.into());
        self
    }

    /// Authenticates with this API key, sent as a bearer token. An empty key counts as none.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        // Environment variables that are set but empty mean no key.
        self.api_key = Some(key.into()).filter(|key| !key.is_empty()).map(Secret::new);
        self
    }

    /// Asks a Longhaul server to report agent, attempt and queue position in the metadata of tasks:
    /// see [`ReceivedRunReport`](crate::ReceivedRunReport).
    #[must_use]
    pub fn run_reports(mut self) -> Self {
        self.run_reports = true;
        self
    }

    /// Builds a client of A2A and of the task log. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidUrl`](crate::ClientError::InvalidUrl) unless the address is an `http`
    /// or `https` URL; [`ClientError::Setup`](crate::ClientError::Setup) if the machine's
    /// certificates cannot be loaded.
    pub fn build(self) -> Result<A2aClient> {
        let transport = Transport::new(&self.url, self.api_key)?;
        Ok(A2aClient::new(transport, self.agent.as_deref(), self.run_reports))
    }

    /// Builds a client of the operator API, which needs a key with the scope `operator`. Nothing is
    /// sent yet.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientBuilder::build`].
    pub fn build_operator(self) -> Result<OperatorClient> {
        Ok(OperatorClient::new(Transport::new(&self.url, self.api_key)?))
    }
}
