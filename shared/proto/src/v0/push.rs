//! Webhooks. Authentication names several schemes, of which the first is taken.

use super::name;
use crate::{
    pb::v0 as pb,
    read::{asked, count, each, optional, required, some_text, text},
    url::http_url,
    write,
};
use longhaul_wire::{
    ProtocolError, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest, TaskRef,
    raw::{JsonPath, Parsed},
    request::{AuthenticationInfo, MAX_PAGE_SIZE, Secret},
    v1::PushList,
};

pub(super) fn read(given: pb::PushNotificationConfig, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let id = some_text(given.id, &at.field("id"));
    let url = http_url(given.url, &at.field("url"));
    let token = some_text(given.token, &at.field("token"));
    let authentication =
        optional(given.authentication, &at.field("authentication"), read_authentication);
    Ok(PushConfig {
        tenant: None,
        id: id?,
        task: None,
        url: url?,
        token: token?.map(Secret::new),
        authentication: authentication?.flatten(),
    })
}

/// Without a scheme there is nothing to do, unless there are credentials: then they go as a bearer token.
fn read_authentication(
    given: pb::AuthenticationInfo,
    at: &JsonPath<'_>,
) -> Parsed<Option<AuthenticationInfo>> {
    let schemes = each(given.schemes, &at.field("schemes"), text);
    let credentials = some_text(given.credentials, &at.field("credentials"));
    let first = schemes?.into_iter().find(|scheme| !scheme.is_empty());
    let credentials = credentials?.map(Secret::new);
    let scheme = first.or_else(|| credentials.is_some().then(|| "Bearer".to_owned()));
    Ok(scheme.map(|scheme| AuthenticationInfo { scheme, credentials }))
}

/// Reads the request of creating a webhook. The task is named by the parent, or else by the name of the config.
pub fn read_create_push(
    request: pb::CreateTaskPushNotificationConfigRequest,
) -> Result<PushConfigRequest, ProtocolError> {
    asked(|at| {
        let parent = Some(request.parent).filter(|parent| !parent.is_empty());
        let parent = optional(parent, &at.field("parent"), name::task);
        let id = some_text(request.config_id, &at.field("configId"));
        let config = required(request.config, &at.field("config"), read_named);
        let (parent, config) = (parent?, config?);
        let Some(task) = parent.or_else(|| config.task.clone()) else {
            return at.field("parent").refuse("is required");
        };
        let id = id?.or(config.id);
        Ok(PushConfigRequest {
            task: task.clone(),
            config: PushConfig { task: Some(task), id, ..config },
        })
    })
}

fn read_named(given: pb::TaskPushNotificationConfig, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let task = name::split(&given.name).map(|(task, _)| TaskRef::parse(task));
    let config =
        required(given.push_notification_config, &at.field("pushNotificationConfig"), read)?;
    Ok(PushConfig { task, ..config })
}

/// Reads the request of getting a webhook.
pub fn read_get_push(
    request: pb::GetTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.name)
}

/// Reads the request of deleting a webhook.
pub fn read_delete_push(
    request: pb::DeleteTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.name)
}

fn read_ref(given: String) -> Result<PushRefRequest, ProtocolError> {
    asked(|at| {
        let (task, id) = name::config(given, &at.field("name"))?;
        Ok(PushRefRequest { tenant: None, task, id })
    })
}

/// Reads the request of listing webhooks. A page size of 0 is that of the server.
pub fn read_list_push(
    request: pb::ListTaskPushNotificationConfigRequest,
) -> Result<PushListRequest, ProtocolError> {
    asked(|at| {
        let task = name::task(request.parent, &at.field("parent"));
        let size = count(request.page_size, &at.field("pageSize"), &(0..=MAX_PAGE_SIZE));
        let token = some_text(request.page_token, &at.field("pageToken"));
        Ok(PushListRequest {
            tenant: None,
            task: task?,
            page_size: Some(size?).filter(|size| *size > 0),
            page_token: token?,
        })
    })
}

/// Answer of creating or getting a webhook.
pub fn push_config(config: &PushConfig) -> pb::TaskPushNotificationConfig {
    let task = config.task.as_ref().map(TaskRef::to_string).unwrap_or_default();
    let authentication = config.authentication.as_ref().map(|info| pb::AuthenticationInfo {
        schemes: vec![info.scheme.clone()],
        credentials: write::secret(info.credentials.as_ref()),
    });
    pb::TaskPushNotificationConfig {
        name: name::of_config(task, config.id.as_deref().unwrap_or_default()),
        push_notification_config: Some(pb::PushNotificationConfig {
            id: write::text(config.id.as_ref()),
            url: config.url.clone(),
            token: write::secret(config.token.as_ref()),
            authentication,
        }),
    }
}

/// Answer of listing webhooks.
pub fn push_list(list: &PushList) -> pb::ListTaskPushNotificationConfigResponse {
    pb::ListTaskPushNotificationConfigResponse {
        configs: list.configs.iter().map(push_config).collect(),
        next_page_token: list.next_page_token.clone(),
    }
}
