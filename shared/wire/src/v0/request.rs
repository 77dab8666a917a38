//! Requests for tasks before 1.0. `ProtoJSON` names a task by resource name, `tasks/{id}`. A
//! binding passes an id from the URL path as the parameter `id`, as in 1.0.

use super::{LegacyForm, V0, message};
use crate::{
    ProtocolError, TaskRef,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    request::{CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, SubscribeRequest},
    v1::{context_id, history_length, page_size, read_params},
    write::{DisplayString, ObjectWriter, Rfc3339Millis},
};
use longhaul_domain::ContextId;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Prefix of a task's resource name.
pub(super) const TASKS_PREFIX: &str = "tasks/";

/// Reads the task of a resource name.
pub(super) fn task_from_name(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let name = scalar::non_empty_text(raw, at)?;
    match name.strip_prefix(TASKS_PREFIX).unwrap_or(&name) {
        "" => at.refuse("must be tasks/{id}"),
        id => Ok(TaskRef::parse(id)),
    }
}

fn task(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let [id, name] = object(raw, at, ["id", "name"])?;
    // An id from the URL path takes precedence over a resource name.
    if form == LegacyForm::V0_3Proto && id.present().is_none() {
        return name.required(at, task_from_name);
    }
    id.required(at, |raw, at| scalar::non_empty_text(raw, at).map(|text| form.task_ref(text)))
}

fn put_task<S: Serializer>(
    members: &mut ObjectWriter<S>,
    form: LegacyForm,
    task: &TaskRef,
) -> Result<(), S::Error> {
    match form {
        LegacyForm::V0_3Proto => {
            members.put("name", &DisplayString(format_args!("{TASKS_PREFIX}{task}")))
        }
        LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("id", &DisplayString(task)),
    }
}

/// Reads the parameters of getting a task. In 0.1 history is shown on request only.
pub(super) fn read_get(form: LegacyForm, params: &RawValue) -> Result<GetRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [history] = object(raw, at, ["historyLength"])?;
        let id = task(form, raw, at);
        let history = history.optional(at, history_length);
        // An absent length means no history in 0.1, and all of it elsewhere.
        let absent = (form == LegacyForm::V0_1).then_some(0);
        Ok(GetRequest { tenant: None, id: id?, history_length: form.history(history?).or(absent) })
    })
}

impl Serialize for V0<'_, GetRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        members.put_some("historyLength", self.cx.form.history(self.value.history_length))?;
        members.close()
    }
}

pub(super) fn read_list(form: LegacyForm, params: &RawValue) -> Result<ListRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [context, status, size, token, history, after, artifacts] = object(
            raw,
            at,
            [
                "contextId",
                "status",
                "pageSize",
                "pageToken",
                "historyLength",
                "statusTimestampAfter",
                "includeArtifacts",
            ],
        )?;
        let context = context.optional(at, context_id).map(Option::flatten);
        let status =
            status.optional(at, |raw, at| message::read_state(form, raw, at)).map(Option::flatten);
        let size = size.optional(at, page_size);
        let token = token.optional_text(at);
        let history = history.optional(at, history_length);
        let after = after.optional(at, scalar::timestamp);
        let artifacts = artifacts.flag(at);
        Ok(ListRequest {
            tenant: None,
            context_id: context?,
            status: status?,
            page_size: size?,
            page_token: token?,
            history_length: form.history(history?),
            status_timestamp_after: after?,
            include_artifacts: artifacts?,
        })
    })
}

impl Serialize for V0<'_, ListRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (form, request) = (self.cx.form, self.value);
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("contextId", request.context_id.as_ref().map(ContextId::as_str))?;
        members.put_some("status", request.status.map(|state| form.state_name(state)))?;
        members.put_some("pageSize", request.page_size)?;
        members.put_some("pageToken", request.page_token.as_ref())?;
        members.put_some("historyLength", form.history(request.history_length))?;
        members
            .put_some("statusTimestampAfter", request.status_timestamp_after.map(Rfc3339Millis))?;
        members.put_flag("includeArtifacts", request.include_artifacts)?;
        members.close()
    }
}

pub(super) fn read_cancel(
    form: LegacyForm,
    params: &RawValue,
) -> Result<CancelRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [metadata] = object(raw, at, ["metadata"])?;
        let id = task(form, raw, at);
        let metadata = metadata.optional(at, scalar::json_object);
        Ok(CancelRequest { tenant: None, id: id?, metadata: metadata? })
    })
}

impl Serialize for V0<'_, CancelRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        // `ProtoJSON` has no such member.
        let metadata = self.value.metadata.as_ref();
        members.put_some("metadata", metadata.filter(|_| self.cx.form != LegacyForm::V0_3Proto))?;
        members.close()
    }
}

pub(super) fn read_subscribe(
    form: LegacyForm,
    params: &RawValue,
) -> Result<SubscribeRequest, ProtocolError> {
    read_params(params, |raw, at| Ok(SubscribeRequest { tenant: None, id: task(form, raw, at)? }))
}

impl Serialize for V0<'_, SubscribeRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        members.close()
    }
}

pub(super) fn read_extended_card(params: &RawValue) -> Result<ExtendedCardRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [] = object(raw, at, [])?;
        Ok(ExtendedCardRequest { tenant: None })
    })
}
