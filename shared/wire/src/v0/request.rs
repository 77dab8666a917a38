//! Requests about tasks. In `ProtoJSON` a task is named by a resource name, `tasks/{id}`; where the id stands in the path of
//! a URL, a binding puts it into the parameters as `id`, as it does in 1.0.

use super::{LegacyForm, V0, enums};
use crate::{
    ProtocolError,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    request::{
        CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, SubscribeRequest, TaskRef,
    },
    time::Time,
    v1::{asked, context_id, history_length, page_size},
    write::{Members, Shown},
};
use longhaul_domain::ContextId;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What a resource name of a task begins with.
pub(super) const TASKS: &str = "tasks/";

/// The task of a resource name.
pub(super) fn named_task(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let name = scalar::filled_text(raw, at)?;
    match name.strip_prefix(TASKS).unwrap_or(&name) {
        "" => at.refuse("must be tasks/{id}"),
        id => Ok(TaskRef::parse(id)),
    }
}

fn task(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let [id, name] = object(raw, at, ["id", "name"])?;
    if form == LegacyForm::V0_3Proto && id.present().is_none() {
        return name.required(at, named_task);
    }
    id.required(at, |raw, at| scalar::filled_text(raw, at).map(|text| form.task_ref(text)))
}

fn put_task<S: Serializer>(
    members: &mut Members<S>,
    form: LegacyForm,
    task: &TaskRef,
) -> Result<(), S::Error> {
    match form {
        LegacyForm::V0_3Proto => members.put("name", &Shown(format_args!("{TASKS}{task}"))),
        LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("id", &Shown(task)),
    }
}

/// In 0.1 history is shown only when it is asked for.
pub(super) fn read_get(form: LegacyForm, params: &RawValue) -> Result<GetRequest, ProtocolError> {
    asked(params, |raw, at| {
        let [history] = object(raw, at, ["historyLength"])?;
        let id = task(form, raw, at);
        let history = history.optional(at, history_length);
        let absent = (form == LegacyForm::V0_1).then_some(0);
        Ok(GetRequest { tenant: None, id: id?, history_length: form.history(history?).or(absent) })
    })
}

impl Serialize for V0<'_, GetRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        members.maybe("historyLength", self.cx.form.history(self.value.history_length))?;
        members.close()
    }
}

pub(super) fn read_list(form: LegacyForm, params: &RawValue) -> Result<ListRequest, ProtocolError> {
    asked(params, |raw, at| {
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
            status.optional(at, |raw, at| enums::state(form, raw, at)).map(Option::flatten);
        let size = size.optional(at, page_size);
        let token = token.some_text(at);
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
        let mut members = Members::open(serializer)?;
        members.maybe("contextId", request.context_id.as_ref().map(ContextId::as_str))?;
        members.maybe("status", request.status.map(|state| form.state_name(state)))?;
        members.maybe("pageSize", request.page_size)?;
        members.maybe("pageToken", request.page_token.as_ref())?;
        members.maybe("historyLength", form.history(request.history_length))?;
        members.maybe("statusTimestampAfter", request.status_timestamp_after.map(Time))?;
        members.flag("includeArtifacts", request.include_artifacts)?;
        members.close()
    }
}

pub(super) fn read_cancel(
    form: LegacyForm,
    params: &RawValue,
) -> Result<CancelRequest, ProtocolError> {
    asked(params, |raw, at| {
        let [metadata] = object(raw, at, ["metadata"])?;
        let id = task(form, raw, at);
        let metadata = metadata.optional(at, scalar::json_object);
        Ok(CancelRequest { tenant: None, id: id?, metadata: metadata? })
    })
}

impl Serialize for V0<'_, CancelRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        // ProtoJSON has no place for it.
        let metadata = self.value.metadata.as_ref();
        members.maybe("metadata", metadata.filter(|_| self.cx.form != LegacyForm::V0_3Proto))?;
        members.close()
    }
}

pub(super) fn read_subscribe(
    form: LegacyForm,
    params: &RawValue,
) -> Result<SubscribeRequest, ProtocolError> {
    asked(params, |raw, at| Ok(SubscribeRequest { tenant: None, id: task(form, raw, at)? }))
}

impl Serialize for V0<'_, SubscribeRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        put_task(&mut members, self.cx.form, &self.value.id)?;
        members.close()
    }
}

pub(super) fn read_extended_card(params: &RawValue) -> Result<ExtendedCardRequest, ProtocolError> {
    asked(params, |raw, at| {
        let [] = object(raw, at, [])?;
        Ok(ExtendedCardRequest { tenant: None })
    })
}
