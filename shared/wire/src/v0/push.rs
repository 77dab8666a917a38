//! Webhooks. Before 1.0 a config stands inside of an object that names its task, and authentication names several schemes,
//! of which the first is taken. In 0.1 a task has one config, which has no name.

use super::{
    Cx, LegacyForm, V0, message,
    request::{TASKS, named_task},
};
use crate::{
    ProtocolError, WireError,
    raw::{Field, JsonPath, Parsed, RawJson, elements, object, scalar},
    request::{
        AuthenticationInfo, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest, Secret,
        TaskRef,
    },
    v1::{PushList, asked, count, http_url, received},
    write::{Members, Shown},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Between the task and the config in a resource name.
const CONFIGS: &str = "/pushNotificationConfigs/";

impl Serialize for V0<'_, PushConfig> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Cx { form, shown, .. }, config) = (self.cx, self.value);
        let own = config.task.as_ref().map(TaskRef::to_string);
        let task = shown.or(own.as_deref()).unwrap_or_default();
        let mut members = Members::open(serializer)?;
        match form {
            LegacyForm::V0_3 => members.put("taskId", task)?,
            LegacyForm::V0_1 => members.put("id", task)?,
            LegacyForm::V0_3Proto => {
                let id = config.id.as_deref().unwrap_or_default();
                members.put("name", &Shown(format_args!("{TASKS}{task}{CONFIGS}{id}")))?;
            }
        }
        members.put("pushNotificationConfig", &Inner(form, config))?;
        members.close()
    }
}

/// The config without its task.
pub(super) struct Inner<'a>(pub LegacyForm, pub &'a PushConfig);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let config = self.1;
        let mut members = Members::open(serializer)?;
        members.maybe("id", config.id.as_ref().filter(|_| self.0 != LegacyForm::V0_1))?;
        members.put("url", &config.url)?;
        members.maybe("token", config.token.as_ref().map(Secret::reveal))?;
        members.maybe("authentication", config.authentication.as_ref().map(Authentication))?;
        members.close()
    }
}

struct Authentication<'a>(&'a AuthenticationInfo);

impl Serialize for Authentication<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("schemes", &[&self.0.scheme])?;
        members.maybe("credentials", self.0.credentials.as_ref().map(Secret::reveal))?;
        members.close()
    }
}

/// Reads a config without its task.
pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let [id, url, token, authentication] =
        object(raw, at, ["id", "url", "token", "authentication"])?;
    let id = id.some_text(at);
    let url = url.required(at, http_url);
    let token = token.some_text(at);
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

/// Without a scheme there is nothing to do, unless there are credentials: then they go as a bearer token.
fn read_authentication(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<AuthenticationInfo>> {
    let [schemes, scheme, credentials] = object(raw, at, ["schemes", "scheme", "credentials"])?;
    let schemes = schemes.list(at, scalar::text);
    let scheme = scheme.some_text(at);
    let credentials = credentials.some_text(at);
    let first = schemes?.into_iter().find(|scheme| !scheme.is_empty()).or(scheme?);
    let credentials = credentials?.map(Secret::new);
    let scheme = first.or_else(|| credentials.is_some().then(|| "Bearer".to_owned()));
    Ok(scheme.map(|scheme| AuthenticationInfo { scheme, credentials }))
}

/// A config with what names its task.
fn read_placed(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
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
    let outer = of_path(at, &task, &parent, &name);
    let config_id = config_id.some_text(at);
    let config = match config.present() {
        Some(raw) => read_within(raw, &at.field(config.name())),
        None => inner.required(at, read),
    };
    let (outer, config) = (outer?, config?);
    Ok(PushConfig {
        task: outer.or(config.task.clone()),
        id: config_id?.or(config.id.clone()),
        ..config
    })
}

/// The task by its id, or by the resource name of itself or of something in it.
fn of_path(
    at: &JsonPath<'_>,
    task: &Field<'_>,
    parent: &Field<'_>,
    name: &Field<'_>,
) -> Parsed<Option<TaskRef>> {
    if task.present().is_some() {
        return task.optional(at, |raw, at| message::task_ref(LegacyForm::V0_3Proto, raw, at));
    }
    if parent.present().is_some() {
        return parent.optional(at, named_task);
    }
    let name = name.some_text(at)?;
    Ok(name.as_deref().and_then(split).map(|(task, _)| TaskRef::parse(task)))
}

/// What stands under `config`: the config with a resource name, or the config alone.
fn read_within(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<PushConfig> {
    let [task, parent, name, inner] =
        object(raw, at, ["taskId", "parent", "name", "pushNotificationConfig"])?;
    if inner.present().is_none() {
        return read(raw, at);
    }
    let named = of_path(at, &task, &parent, &name);
    let config = inner.required(at, read);
    Ok(PushConfig { task: named?, ..config? })
}

/// Task and config of a resource name.
fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(TASKS)?.split_once(CONFIGS).filter(|(task, _)| !task.is_empty())
}

pub(super) fn read_create(
    form: LegacyForm,
    params: &RawValue,
) -> Result<PushConfigRequest, ProtocolError> {
    asked(params, |raw, at| {
        let config = read_placed(form, raw, at)?;
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
            return self.cx.of(config).serialize(serializer);
        }
        let mut members = Members::open(serializer)?;
        members.put("parent", &Shown(format_args!("{TASKS}{task}")))?;
        members.maybe("configId", config.id.as_ref())?;
        members.put("config", &self.cx.of(config))?;
        members.close()
    }
}

/// Whether a config has to be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It has.
    Always,
    /// Without a name the only one of the task is meant.
    OrOnly,
}

pub(super) fn read_ref(
    form: LegacyForm,
    params: &RawValue,
    named: Named,
) -> Result<PushRefRequest, ProtocolError> {
    asked(params, |raw, at| {
        if form == LegacyForm::V0_3Proto {
            return read_named_ref(raw, at, named);
        }
        let [task, id] = object(raw, at, ["id", "pushNotificationConfigId"])?;
        let task = task.required(at, |raw, at| message::task_ref(form, raw, at));
        let id = config_id(at, &id, named);
        Ok(PushRefRequest { tenant: None, task: task?, id: id? })
    })
}

fn config_id(at: &JsonPath<'_>, field: &Field<'_>, named: Named) -> Parsed<String> {
    match named {
        Named::Always => field.required(at, scalar::filled_text),
        Named::OrOnly => field.text(at),
    }
}

fn read_named_ref(raw: RawJson<'_>, at: &JsonPath<'_>, named: Named) -> Parsed<PushRefRequest> {
    let [task, id, name] = object(raw, at, ["taskId", "id", "name"])?;
    if task.present().is_some() {
        let task = task.required(at, |raw, at| message::task_ref(LegacyForm::V0_3Proto, raw, at));
        let id = config_id(at, &id, named);
        return Ok(PushRefRequest { tenant: None, task: task?, id: id? });
    }
    name.required(at, |raw, at| {
        let text = scalar::filled_text(raw, at)?;
        match split(&text) {
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
        let mut members = Members::open(serializer)?;
        if self.cx.form == LegacyForm::V0_3Proto {
            members.put("name", &Shown(format_args!("{TASKS}{task}{CONFIGS}{id}")))?;
            return members.close();
        }
        members.put("id", &Shown(task))?;
        let named = self.cx.form == LegacyForm::V0_3 && !id.is_empty();
        members.maybe("pushNotificationConfigId", named.then_some(id))?;
        members.close()
    }
}

pub(super) fn read_list(
    form: LegacyForm,
    params: &RawValue,
) -> Result<PushListRequest, ProtocolError> {
    asked(params, |raw, at| {
        let [id, task, parent, size, token] =
            object(raw, at, ["id", "taskId", "parent", "pageSize", "pageToken"])?;
        let size = size.optional(at, |raw, at| count(raw, at, 0, crate::request::MAX_PAGE_SIZE));
        let token = token.some_text(at);
        let task = match form {
            LegacyForm::V0_3Proto if task.present().is_none() => parent.required(at, named_task),
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
        let mut members = Members::open(serializer)?;
        if self.cx.form == LegacyForm::V0_3Proto {
            members.put("parent", &Shown(format_args!("{TASKS}{}", request.task)))?;
            members.maybe("pageSize", request.page_size)?;
            members.maybe("pageToken", request.page_token.as_ref())?;
        } else {
            members.put("id", &Shown(&request.task))?;
        }
        members.close()
    }
}

impl Serialize for V0<'_, PushList> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, list) = (self.cx, self.value);
        if cx.form != LegacyForm::V0_3Proto {
            return cx.each(&list.configs).serialize(serializer);
        }
        let token = &list.next_page_token;
        let mut members = Members::open(serializer)?;
        members.maybe("configs", (!list.configs.is_empty()).then(|| cx.each(&list.configs)))?;
        members.maybe("nextPageToken", (!token.is_empty()).then_some(token))?;
        members.close()
    }
}

/// Reads the answer to creating or getting a webhook.
pub fn received_push_config(form: LegacyForm, result: &RawValue) -> Result<PushConfig, WireError> {
    received(result, |raw, at| read_placed(form, raw, at))
}

/// Reads the answer to listing webhooks.
pub fn received_push_list(form: LegacyForm, result: &RawValue) -> Result<PushList, WireError> {
    received(result, |raw, at| {
        if form == LegacyForm::V0_3Proto {
            let [configs, token] = object(raw, at, ["configs", "nextPageToken"])?;
            let configs = configs.list(at, |raw, at| read_placed(form, raw, at));
            let token = token.text(at);
            return Ok(PushList { configs: configs?, next_page_token: token? });
        }
        let mut configs = Vec::new();
        let mut bad = None;
        elements(raw, at, |index, raw| match read_placed(form, raw, &at.index(index)) {
            Ok(config) => configs.push(config),
            Err(why) => bad = Some(why),
        })?;
        bad.map_or(Ok(PushList { configs, next_page_token: String::new() }), Err)
    })
}
