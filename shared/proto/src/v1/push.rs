//! Webhooks (A2A 3.1.7 to 3.1.10, 4.3).

use crate::{
    pb::v1 as pb,
    read::{count, http_url, optional, optional_text, read_request, required_text, task_ref},
    write,
};
use longhaul_wire::{
    ProtocolError, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest, TaskRef,
    raw::{JsonPath, Parsed},
    request::{AuthenticationInfo, MAX_PAGE_SIZE, Secret},
    v1::PushList,
};

pub(super) fn read(given: pb::TaskPushNotificationConfig, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let tenant = optional_text(given.tenant, &at.field("tenant"));
    let id = optional_text(given.id, &at.field("id"));
    let task = optional_text(given.task_id, &at.field("taskId"));
    let url = http_url(given.url, &at.field("url"));
    let token = optional_text(given.token, &at.field("token"));
    let authentication =
        optional(given.authentication, &at.field("authentication"), read_authentication);
    Ok(PushConfig {
        tenant: tenant?,
        id: id?,
        task: task?.map(TaskRef::parse),
        url: url?,
        token: token?.map(Secret::new),
        authentication: authentication?,
    })
}

fn read_authentication(
    given: pb::AuthenticationInfo,
    at: &JsonPath<'_>,
) -> Parsed<AuthenticationInfo> {
    let scheme = required_text(given.scheme, &at.field("scheme"));
    let credentials = optional_text(given.credentials, &at.field("credentials"));
    Ok(AuthenticationInfo { scheme: scheme?, credentials: credentials?.map(Secret::new) })
}

/// Reads the request of Create Push Notification Config.
pub fn read_create_push(
    request: pb::TaskPushNotificationConfig,
) -> Result<PushConfigRequest, ProtocolError> {
    read_request(|at| {
        let config = read(request, at)?;
        match config.task.clone() {
            Some(task) => Ok(PushConfigRequest { task, config }),
            None => at.field("taskId").refuse("is required"),
        }
    })
}

/// Reads the request of Get Push Notification Config.
pub fn read_get_push(
    request: pb::GetTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.tenant, request.task_id, request.id)
}

/// Reads the request of Delete Push Notification Config.
pub fn read_delete_push(
    request: pb::DeleteTaskPushNotificationConfigRequest,
) -> Result<PushRefRequest, ProtocolError> {
    read_ref(request.tenant, request.task_id, request.id)
}

fn read_ref(tenant: String, task: String, id: String) -> Result<PushRefRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(tenant, &at.field("tenant"));
        let task = task_ref(task, &at.field("taskId"));
        let id = required_text(id, &at.field("id"));
        Ok(PushRefRequest { tenant: tenant?, task: task?, id: id? })
    })
}

/// Reads the request of List Push Notification Configs. Page size 0 means the server's default.
pub fn read_list_push(
    request: pb::ListTaskPushNotificationConfigsRequest,
) -> Result<PushListRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let task = task_ref(request.task_id, &at.field("taskId"));
        let size = count(request.page_size, &at.field("pageSize"), &(0..=MAX_PAGE_SIZE));
        let token = optional_text(request.page_token, &at.field("pageToken"));
        Ok(PushListRequest {
            tenant: tenant?,
            task: task?,
            page_size: Some(size?).filter(|size| *size > 0),
            page_token: token?,
        })
    })
}

/// Response to creating or getting a webhook.
pub fn push_config(config: &PushConfig) -> pb::TaskPushNotificationConfig {
    pb::TaskPushNotificationConfig {
        tenant: write::text(config.tenant.as_ref()),
        id: write::text(config.id.as_ref()),
        task_id: config.task.as_ref().map(ToString::to_string).unwrap_or_default(),
        url: config.url.clone(),
        token: write::secret(config.token.as_ref()),
        authentication: config.authentication.as_ref().map(|info| pb::AuthenticationInfo {
            scheme: info.scheme.clone(),
            credentials: write::secret(info.credentials.as_ref()),
        }),
    }
}

/// Response to listing webhooks.
pub fn push_list(list: &PushList) -> pb::ListTaskPushNotificationConfigsResponse {
    pb::ListTaskPushNotificationConfigsResponse {
        configs: list.configs.iter().map(push_config).collect(),
        next_page_token: list.next_page_token.clone(),
    }
}
