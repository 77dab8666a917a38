//! Webhooks before 1.0. An outer object names the task of a config. Authentication lists several
//! schemes; the first one is used. In 0.1 a task has a single config without an id.

use super::{
    LegacyForm, V0, WriteContext, message,
    request::{TASKS_PREFIX, task_from_name},
};
use crate::{
    ProtocolError, TaskRef, WireError,
    raw::{JsonField, JsonPath, Parsed, RawJson, elements, object, scalar},
    request::{
        AuthenticationInfo, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest, Secret,
    },
    v1::{PushList, count, http_url, read_params, read_result},
    write::{DisplayString, ObjectWriter},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Separator between task and config in a resource name.
const CONFIGS_SEGMENT: &str = "/pushNotificationConfigs/";

impl Serialize for V0<'_, PushConfig> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (WriteContext { form, client_task_id, .. }, config) = (self.cx, self.value);
        let own = config.task.as_ref().map(TaskRef::to_string);
        let task = client_task_id.or(own.as_deref()).unwrap_or_default();
        let mut members = ObjectWriter::open(serializer)?;
        match form {
            LegacyForm::V0_3 => members.put("taskId", task)?,
            LegacyForm::V0_1 => members.put("id", task)?,
            LegacyForm::V0_3Proto => {
                let id = config.id.as_deref().unwrap_or_default();
                members.put(
                    "name",
                    &DisplayString(format_args!("{TASKS_PREFIX}{task}{CONFIGS_SEGMENT}{id}")),
                )?;
            }
        }
        members.put("pushNotificationConfig", &ConfigBody(form, config))?;
        members.close()
    }
}

/// Config without its task.
pub(super) struct ConfigBody<'a>(pub LegacyForm, pub &'a PushConfig);

impl Serialize for ConfigBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let config = self.1;
        let mut members = ObjectWriter::open(serializer)?;
        // Configs of 0.1 have no id.
        members.put_some("id", config.id.as_ref().filter(|_| self.0 != LegacyForm::V0_1))?;
        members.put("url", &config.url)?;
        members.put_some("token", config.token.as_ref().map(Secret::reveal))?;
        members.put_some("authentication", config.authentication.as_ref().map(Authentication))?;
        members.close()
    }
}

struct Authentication<'a>(&'a AuthenticationInfo);

impl Serialize for Authentication<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("schemes", &[&self.0.scheme])?;
        members.put_some("credentials", self.0.credentials.as_ref().map(Secret::reveal))?;
        members.close()
    }
}

/// Reads a config without its task.
pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let [id, url, token, authentication] =
        object(raw, at, ["id", "url", "token", "authentication"])?;
    let id = id.optional_text(at);
    let url = url.required(at, http_url);
    let token = token.optional_text(at);
    let authentication = authentication.optional(at, read_authentication).map(Option::flatten);
    Ok(PushConfig {
        tenant: None,
        id: id?,
        task: None,
        url: url?,
        token: token?.map(Secret::new),
        authentication: authentication?,
    })
}

/// Reads authentication. Without a scheme there is none, except that bare credentials are sent as a
/// bearer token.
fn read_authentication(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<AuthenticationInfo>> {
    let [schemes, scheme, credentials] = object(raw, at, ["schemes", "scheme", "credentials"])?;
    let schemes = schemes.list(at, scalar::text);
    let scheme = scheme.optional_text(at);
    let credentials = credentials.optional_text(at);
    // Some clients send `scheme`, as in 1.0.
    let first = schemes?.into_iter().find(|scheme| !scheme.is_empty()).or(scheme?);
    let credentials = credentials?.map(Secret::new);
    let scheme = first.or_else(|| credentials.is_some().then(|| "Bearer".to_owned()));
    Ok(scheme.map(|scheme| AuthenticationInfo { scheme, credentials }))
}

/// Reads a config together with the task that it belongs to.
fn read_config_with_task(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<PushConfig> {
    let [task, id, parent, name, config_id, config, inner] = object(
        raw,
        at,
        ["taskId", "id", "parent", "name", "configId", "config", "pushNotificationConfig"],
    )?;
    if form != LegacyForm::V0_3Proto {
        let named = if form == LegacyForm::V0_1 && id.present().is_some() { id } else { task };
        let task = named.required(at, |raw, at| message::task_ref(form, raw, at));
        let config = inner.required(at, read);
        let (task, config) = (task?, config?);
        return Ok(PushConfig { task: Some(task), ..config });
    }
    let outer = task_from_fields(at, &task, &parent, &name);
    let config_id = config_id.optional_text(at);
    let config = match config.present() {
        Some(raw) => read_nested_config(raw, &at.field(config.name())),
        None => inner.required(at, read),
    };
    let (outer, config) = (outer?, config?);
    Ok(PushConfig {
        task: outer.or(config.task.clone()),
        id: config_id?.or(config.id.clone()),
        ..config
    })
}

/// Reads the task: by id, by its resource name, or by that of its config.
fn task_from_fields(
    at: &JsonPath<'_>,
    task: &JsonField<'_>,
    parent: &JsonField<'_>,
    name: &JsonField<'_>,
) -> Parsed<Option<TaskRef>> {
    // An id from the URL path takes precedence.
    if task.present().is_some() {
        return task.optional(at, |raw, at| message::task_ref(LegacyForm::V0_3Proto, raw, at));
    }
    if parent.present().is_some() {
        return parent.optional(at, task_from_name);
    }
    let name = name.optional_text(at)?;
    Ok(name.as_deref().and_then(split_config_name).map(|(task, _)| TaskRef::parse(task)))
}

/// Reads the `config` member: a named config, or the bare config.
fn read_nested_config(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let [task, parent, name, inner] =
        object(raw, at, ["taskId", "parent", "name", "pushNotificationConfig"])?;
    if inner.present().is_none() {
        return read(raw, at);
    }
    let named = task_from_fields(at, &task, &parent, &name);
    let config = inner.required(at, read);
    Ok(PushConfig { task: named?, ..config? })
}

/// Splits a resource name into task and config.
fn split_config_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(TASKS_PREFIX)?
        .split_once(CONFIGS_SEGMENT)
        .filter(|(task, _)| !task.is_empty())
}

pub(super) fn read_create(
    form: LegacyForm,
    params: &RawValue,
) -> Result<PushConfigRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let config = read_config_with_task(form, raw, at)?;
        match config.task.clone() {
            Some(task) => Ok(PushConfigRequest { task, config }),
            None => at.field("parent").refuse("is required"),
        }
    })
}

impl Serialize for V0<'_, PushConfigRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PushConfigRequest { task, config } = self.value;
        if self.cx.form != LegacyForm::V0_3Proto {
            return self.cx.wrap(config).serialize(serializer);
        }
        let mut members = ObjectWriter::open(serializer)?;
        members.put("parent", &DisplayString(format_args!("{TASKS_PREFIX}{task}")))?;
        members.put_some("configId", config.id.as_ref())?;
        members.put("config", &self.cx.wrap(config))?;
        members.close()
    }
}

/// Requirement for the config id of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigIdRule {
    /// The id is required.
    Required,
    /// A missing id means the task's only config.
    OnlyConfig,
}

pub(super) fn read_ref(
    form: LegacyForm,
    params: &RawValue,
    named: ConfigIdRule,
) -> Result<PushRefRequest, ProtocolError> {
    read_params(params, |raw, at| {
        if form == LegacyForm::V0_3Proto {
            return read_named_ref(raw, at, named);
        }
        let [task, id] = object(raw, at, ["id", "pushNotificationConfigId"])?;
        let task = task.required(at, |raw, at| message::task_ref(form, raw, at));
        let id = config_id(at, &id, named);
        Ok(PushRefRequest { tenant: None, task: task?, id: id? })
    })
}

fn config_id(at: &JsonPath<'_>, field: &JsonField<'_>, named: ConfigIdRule) -> Parsed<String> {
    match named {
        ConfigIdRule::Required => field.required(at, scalar::non_empty_text),
        ConfigIdRule::OnlyConfig => field.text(at),
    }
}

fn read_named_ref(
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
    named: ConfigIdRule,
) -> Parsed<PushRefRequest> {
    let [task, id, name] = object(raw, at, ["taskId", "id", "name"])?;
    if task.present().is_some() {
        let task = task.required(at, |raw, at| message::task_ref(LegacyForm::V0_3Proto, raw, at));
        let id = config_id(at, &id, named);
        return Ok(PushRefRequest { tenant: None, task: task?, id: id? });
    }
    name.required(at, |raw, at| {
        let text = scalar::non_empty_text(raw, at)?;
        match split_config_name(&text) {
            Some((task, id)) if !id.is_empty() => {
                Ok(PushRefRequest { tenant: None, task: TaskRef::parse(task), id: id.to_owned() })
            }
            _ => at.refuse("must be tasks/{id}/pushNotificationConfigs/{id}"),
        }
    })
}

impl Serialize for V0<'_, PushRefRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PushRefRequest { task, id, .. } = self.value;
        let mut members = ObjectWriter::open(serializer)?;
        if self.cx.form == LegacyForm::V0_3Proto {
            members.put(
                "name",
                &DisplayString(format_args!("{TASKS_PREFIX}{task}{CONFIGS_SEGMENT}{id}")),
            )?;
            return members.close();
        }
        members.put("id", &DisplayString(task))?;
        let named = self.cx.form == LegacyForm::V0_3 && !id.is_empty();
        members.put_some("pushNotificationConfigId", named.then_some(id))?;
        members.close()
    }
}

pub(super) fn read_list(
    form: LegacyForm,
    params: &RawValue,
) -> Result<PushListRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [id, task, parent, size, token] =
            object(raw, at, ["id", "taskId", "parent", "pageSize", "pageToken"])?;
        let size = size.optional(at, |raw, at| count(raw, at, 0, crate::request::MAX_PAGE_SIZE));
        let token = token.optional_text(at);
        let task = match form {
            LegacyForm::V0_3Proto if task.present().is_none() => {
                parent.required(at, task_from_name)
            }
            LegacyForm::V0_3Proto => task.required(at, |raw, at| message::task_ref(form, raw, at)),
            LegacyForm::V0_3 | LegacyForm::V0_1 => {
                id.required(at, |raw, at| message::task_ref(form, raw, at))
            }
        };
        Ok(PushListRequest {
            tenant: None,
            task: task?,
            page_size: size?.filter(|size| *size > 0),
            page_token: token?,
        })
    })
}

impl Serialize for V0<'_, PushListRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.value;
        let mut members = ObjectWriter::open(serializer)?;
        if self.cx.form == LegacyForm::V0_3Proto {
            members
                .put("parent", &DisplayString(format_args!("{TASKS_PREFIX}{}", request.task)))?;
            members.put_some("pageSize", request.page_size)?;
            members.put_some("pageToken", request.page_token.as_ref())?;
        } else {
            members.put("id", &DisplayString(&request.task))?;
        }
        members.close()
    }
}

impl Serialize for V0<'_, PushList> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, list) = (self.cx, self.value);
        if cx.form != LegacyForm::V0_3Proto {
            return cx.wrap_all(&list.configs).serialize(serializer);
        }
        let token = &list.next_page_token;
        let mut members = ObjectWriter::open(serializer)?;
        members
            .put_some("configs", (!list.configs.is_empty()).then(|| cx.wrap_all(&list.configs)))?;
        members.put_some("nextPageToken", (!token.is_empty()).then_some(token))?;
        members.close()
    }
}

/// Reads the result of creating or getting a webhook.
pub fn received_push_config(form: LegacyForm, result: &RawValue) -> Result<PushConfig, WireError> {
    read_result(result, |raw, at| read_config_with_task(form, raw, at))
}

/// Reads the result of listing webhooks.
pub fn received_push_list(form: LegacyForm, result: &RawValue) -> Result<PushList, WireError> {
    read_result(result, |raw, at| {
        if form == LegacyForm::V0_3Proto {
            let [configs, token] = object(raw, at, ["configs", "nextPageToken"])?;
            let configs = configs.list(at, |raw, at| read_config_with_task(form, raw, at));
            let token = token.text(at);
            return Ok(PushList { configs: configs?, next_page_token: token? });
        }
        let mut configs = Vec::new();
        let mut bad = None;
        elements(raw, at, |index, raw| match read_config_with_task(form, raw, &at.index(index)) {
            Ok(config) => configs.push(config),
            Err(why) => bad = Some(why),
        })?;
        bad.map_or(Ok(PushList { configs, next_page_token: String::new() }), Err)
    })
}
