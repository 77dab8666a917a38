//! Webhooks: `TaskPushNotificationConfig` and `AuthenticationInfo` (A2A 4.3).

use super::{Each, V1, read_result};
use crate::{
    TaskRef, WireError,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    request::{AuthenticationInfo, PushConfig, Secret},
    write::{DisplayString, ObjectWriter},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V1<'_, PushConfig> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let config = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", config.tenant.as_ref())?;
        members.put_some("id", config.id.as_ref())?;
        members.put_some("taskId", config.task.as_ref().map(DisplayString))?;
        members.put("url", &config.url)?;
        members.put_some("token", config.token.as_ref().map(Secret::reveal))?;
        members.put_some("authentication", config.authentication.as_ref().map(V1))?;
        members.close()
    }
}

impl Serialize for V1<'_, AuthenticationInfo> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("scheme", &self.0.scheme)?;
        members.put_some("credentials", self.0.credentials.as_ref().map(Secret::reveal))?;
        members.close()
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let [tenant, id, task, url, token, authentication] =
        object(raw, at, ["tenant", "id", "taskId", "url", "token", "authentication"])?;
    let tenant = tenant.optional_text(at);
    let id = id.optional_text(at);
    let task = task.optional_text(at);
    let url = url.required(at, http_url);
    let token = token.optional_text(at);
    let authentication = authentication.optional(at, read_authentication);
    Ok(PushConfig {
        tenant: tenant?,
        id: id?,
        task: task?.map(TaskRef::parse),
        url: url?,
        token: token?.map(Secret::new),
        authentication: authentication?,
    })
}

/// Reads an absolute `http` or `https` URL with a host. Egress checks the target at delivery, not
/// here.
pub(crate) fn http_url(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<String> {
    let url = scalar::text(raw, at)?;
    let host = url.split_once("://").and_then(|(scheme, rest)| {
        let http = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        http.then(|| rest.split(['/', '?', '#']).next().unwrap_or_default())
    });
    // Such characters could split a request line.
    let plain = !url.chars().any(|c| c.is_whitespace() || c.is_control());
    if plain && host.is_some_and(|host| !host.is_empty()) {
        Ok(url)
    } else {
        at.refuse("must be an absolute http or https URL")
    }
}

fn read_authentication(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AuthenticationInfo> {
    let [scheme, credentials] = object(raw, at, ["scheme", "credentials"])?;
    let scheme = scheme.required(at, scalar::non_empty_text);
    let credentials = credentials.optional_text(at);
    Ok(AuthenticationInfo { scheme: scheme?, credentials: credentials?.map(Secret::new) })
}

/// One page of webhooks (A2A 3.1.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushList {
    /// Configs on this page.
    pub configs: Vec<PushConfig>,
    /// Token of the next page; empty on the last one.
    pub next_page_token: String,
}

impl Serialize for V1<'_, PushList> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (configs, token) = (&self.0.configs, &self.0.next_page_token);
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("configs", (!configs.is_empty()).then_some(Each(configs)))?;
        members.put_some("nextPageToken", (!token.is_empty()).then_some(token))?;
        members.close()
    }
}

/// Reads the result of creating or getting a webhook.
pub fn received_push_config(result: &RawValue) -> Result<PushConfig, WireError> {
    read_result(result, read)
}

/// Reads the result of listing webhooks.
pub fn received_push_list(result: &RawValue) -> Result<PushList, WireError> {
    read_result(result, |raw, at| {
        let [configs, token] = object(raw, at, ["configs", "nextPageToken"])?;
        let configs = configs.list(at, read);
        let token = token.text(at);
        Ok(PushList { configs: configs?, next_page_token: token? })
    })
}
