//! Webhooks. Authentication lists several schemes; the first one is used.

use super::request::{config_from_name, config_name, split_config_name, task_from_name};
use crate::{
    pb::v0 as pb,
    read::{count, http_url, list, optional, optional_text, read_request, required, text},
    write,
};
use longhaul_wire::{
    ProtocolError, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest, TaskRef,
    raw::{JsonPath, Parsed},
    request::{AuthenticationInfo, MAX_PAGE_SIZE, Secret},
    v1::PushList,
};

pub(super) fn read(given: pb::PushNotificationConfig, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let id = optional_text(given.id, &at.field("id"));
    let url = http_url(given.url, &at.field("url"));
    let token = optional_text(given.token, &at.field("token"));
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

/// Reads authentication. Without a scheme there is none, except that bare credentials are sent as a
/// bearer token.
fn read_authentication(
    given: pb::AuthenticationInfo,
    at: &JsonPath<'_>,
) -> Parsed<Option<AuthenticationInfo>> {
    let schemes = list(given.schemes, &at.field("schemes"), text);
    let credentials = optional_text(given.credentials, &at.field("credentials"));
    let first = schemes?.into_iter().find(|scheme| !scheme.is_empty());
    let credentials = credentials?.map(Secret::new);
    let scheme = first.or_else(|| credentials.is_some().then(|| "Bearer".to_owned()));
    Ok(scheme.map(|scheme| AuthenticationInfo { scheme, credentials }))
}

/// Reads a request to create a webhook. The parent names the task, or else the name of the config
/// does.
pub fn read_create_push(
    request: pb::CreateTaskPushNotificationConfigRequest,
) -> Result<PushConfigRequest, ProtocolError> {
    read_request(|at| {
        let parent = Some(request.parent).filter(|parent| !parent.is_empty());
        let parent = optional(parent, &at.field("parent"), task_from_name);
        let id = optional_text(request.config_id, &at.field("configId"));
        let config = required(request.config, &at.field("config"), read_named);
        let (parent, config) = (parent?, config?);
        // The parent takes precedence over the name.
        let Some(task) = parent.or_else(|| config.task.clone()) else {
            return at.field("parent").refuse("is required");
        };
        // `configId` takes precedence over the id inside the config.
        let id = id?.or(config.id);
        Ok(PushConfigRequest {
            task: task.clone(),
            config: PushConfig { task: Some(task), id, ..config },
        })
    })
}

fn read_named(given: pb::TaskPushNotificationConfig, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let task = split_config_name(&given.name).map(|(task, _)| TaskRef::parse(task));
    let config =
        required(given.push_notification_config, &at.field("pushNotificationConfig"), read)?;
    Ok(PushConfig { task, ..config })
}

/// Reads a request to get a webhook.
pub fn read_get_push(
    request: pb::GetTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.name)
}

/// Reads a request to delete a webhook.
pub fn read_delete_push(
    request: pb::DeleteTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.name)
}

fn read_ref(given: String) -> Result<PushRefRequest, ProtocolError> {
    read_request(|at| {
        let (task, id) = config_from_name(given, &at.field("name"))?;
        Ok(PushRefRequest { tenant: None, task, id })
    })
}

/// Reads a request to list webhooks. Page size 0 means the server's default.
pub fn read_list_push(
    request: pb::ListTaskPushNotificationConfigRequest,
) -> Result<PushListRequest, ProtocolError> {
    read_request(|at| {
        let task = task_from_name(request.parent, &at.field("parent"));
        let size = count(request.page_size, &at.field("pageSize"), &(0..=MAX_PAGE_SIZE));
        let token = optional_text(request.page_token, &at.field("pageToken"));
        Ok(PushListRequest {
            tenant: None,
            task: task?,
            page_size: Some(size?).filter(|size| *size > 0),
            page_token: token?,
        })
    })
}

/// Response to creating or getting a webhook.
pub fn push_config(config: &PushConfig) -> pb::TaskPushNotificationConfig {
    let task = config.task.as_ref().map(TaskRef::to_string).unwrap_or_default();
    let authentication = config.authentication.as_ref().map(|info| pb::AuthenticationInfo {
        schemes: vec![info.scheme.clone()],
        credentials: write::secret(info.credentials.as_ref()),
    });
    pb::TaskPushNotificationConfig {
        name: config_name(task, config.id.as_deref().unwrap_or_default()),
        push_notification_config: Some(pb::PushNotificationConfig {
            id: write::text(config.id.as_ref()),
            url: config.url.clone(),
            token: write::secret(config.token.as_ref()),
            authentication,
        }),
    }
}

/// Response to listing webhooks.
pub fn push_list(list: &PushList) -> pb::ListTaskPushNotificationConfigResponse {
    pb::ListTaskPushNotificationConfigResponse {
        configs: list.configs.iter().map(push_config).collect(),
        next_page_token: list.next_page_token.clone(),
    }
}
