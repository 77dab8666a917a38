//! Requests for tasks and webhooks (A2A 3.1.3 to 3.1.11).

use super::{V1, message, push, read_params};
use crate::{
    ProtocolError,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    request::{
        CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, MAX_PAGE_SIZE,
        PushConfigRequest, PushListRequest, PushRefRequest, SubscribeRequest,
    },
    write::{DisplayString, ObjectWriter, Rfc3339Millis},
};
use longhaul_domain::ContextId;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Reads a message count: a non-negative protobuf `int32`.
pub(crate) fn history_length(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<u32> {
    count(raw, at, 0, i32::MAX.unsigned_abs())
}

pub(crate) fn page_size(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<u32> {
    count(raw, at, 1, MAX_PAGE_SIZE)
}

pub(crate) fn count(raw: RawJson<'_>, at: &JsonPath<'_>, min: u32, max: u32) -> Parsed<u32> {
    let number = scalar::integer(raw, at, i64::from(min)..=i64::from(max))?;
    // Cannot fail within these bounds.
    u32::try_from(number).or_else(|_| at.refuse("is out of range"))
}

/// Reads the parameters of Get Task.
pub fn read_get(params: &RawValue) -> Result<GetRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, id, history] = object(raw, at, ["tenant", "id", "historyLength"])?;
        let tenant = tenant.optional_text(at);
        let id = id.required(at, message::task_ref);
        let history = history.optional(at, history_length);
        Ok(GetRequest { tenant: tenant?, id: id?, history_length: history? })
    })
}

impl Serialize for V1<'_, GetRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.put("id", &DisplayString(&self.0.id))?;
        members.put_some("historyLength", self.0.history_length)?;
        members.close()
    }
}

/// Reads the parameters of List Tasks.
pub fn read_list(params: &RawValue) -> Result<ListRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, context, status, size, token, history, after, artifacts] = object(
            raw,
            at,
            [
                "tenant",
                "contextId",
                "status",
                "pageSize",
                "pageToken",
                "historyLength",
                "statusTimestampAfter",
                "includeArtifacts",
            ],
        )?;
        let tenant = tenant.optional_text(at);
        let context = context.optional(at, message::context_id).map(Option::flatten);
        let status = status.optional(at, message::read_state).map(Option::flatten);
        let size = size.optional(at, page_size);
        let token = token.optional_text(at);
        let history = history.optional(at, history_length);
        let after = after.optional(at, scalar::timestamp);
        let artifacts = artifacts.flag(at);
        Ok(ListRequest {
            tenant: tenant?,
            context_id: context?,
            status: status?,
            page_size: size?,
            page_token: token?,
            history_length: history?,
            status_timestamp_after: after?,
            include_artifacts: artifacts?,
        })
    })
}

impl Serialize for V1<'_, ListRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", request.tenant.as_ref())?;
        members.put_some("contextId", request.context_id.as_ref().map(ContextId::as_str))?;
        members.put_some("status", request.status.map(message::state_name))?;
        members.put_some("pageSize", request.page_size)?;
        members.put_some("pageToken", request.page_token.as_ref())?;
        members.put_some("historyLength", request.history_length)?;
        members
            .put_some("statusTimestampAfter", request.status_timestamp_after.map(Rfc3339Millis))?;
        members.put_flag("includeArtifacts", request.include_artifacts)?;
        members.close()
    }
}

/// Reads the parameters of Cancel Task.
pub fn read_cancel(params: &RawValue) -> Result<CancelRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, id, metadata] = object(raw, at, ["tenant", "id", "metadata"])?;
        let tenant = tenant.optional_text(at);
        let id = id.required(at, message::task_ref);
        let metadata = metadata.optional(at, scalar::json_object);
        Ok(CancelRequest { tenant: tenant?, id: id?, metadata: metadata? })
    })
}

impl Serialize for V1<'_, CancelRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.put("id", &DisplayString(&self.0.id))?;
        members.put_some("metadata", self.0.metadata.as_ref())?;
        members.close()
    }
}

/// Reads the parameters of Subscribe to Task.
pub fn read_subscribe(params: &RawValue) -> Result<SubscribeRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, id] = object(raw, at, ["tenant", "id"])?;
        let tenant = tenant.optional_text(at);
        let id = id.required(at, message::task_ref);
        Ok(SubscribeRequest { tenant: tenant?, id: id? })
    })
}

impl Serialize for V1<'_, SubscribeRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.put("id", &DisplayString(&self.0.id))?;
        members.close()
    }
}

/// Reads the parameters of Create Push Notification Config.
pub fn read_push_config(params: &RawValue) -> Result<PushConfigRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let config = push::read(raw, at)?;
        match config.task.clone() {
            Some(task) => Ok(PushConfigRequest { task, config }),
            None => at.field("taskId").refuse("is required"),
        }
    })
}

/// Reads the parameters of Get and Delete Push Notification Config.
pub fn read_push_ref(params: &RawValue) -> Result<PushRefRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, task, id] = object(raw, at, ["tenant", "taskId", "id"])?;
        let tenant = tenant.optional_text(at);
        let task = task.required(at, message::task_ref);
        let id = id.required(at, scalar::non_empty_text);
        Ok(PushRefRequest { tenant: tenant?, task: task?, id: id? })
    })
}

impl Serialize for V1<'_, PushRefRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.put("taskId", &DisplayString(&self.0.task))?;
        members.put("id", &self.0.id)?;
        members.close()
    }
}

/// Reads the parameters of List Push Notification Configs. Page size 0 means the server's default.
pub fn read_push_list(params: &RawValue) -> Result<PushListRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant, task, size, token] =
            object(raw, at, ["tenant", "taskId", "pageSize", "pageToken"])?;
        let tenant = tenant.optional_text(at);
        let task = task.required(at, message::task_ref);
        let size = size.optional(at, |raw, at| count(raw, at, 0, MAX_PAGE_SIZE));
        let token = token.optional_text(at);
        Ok(PushListRequest {
            tenant: tenant?,
            task: task?,
            page_size: size?.filter(|size| *size > 0),
            page_token: token?,
        })
    })
}

impl Serialize for V1<'_, PushListRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.put("taskId", &DisplayString(&self.0.task))?;
        members.put_some("pageSize", self.0.page_size)?;
        members.put_some("pageToken", self.0.page_token.as_ref())?;
        members.close()
    }
}

/// Reads the parameters of Get Extended Agent Card.
pub fn read_extended_card(params: &RawValue) -> Result<ExtendedCardRequest, ProtocolError> {
    read_params(params, |raw, at| {
        let [tenant] = object(raw, at, ["tenant"])?;
        Ok(ExtendedCardRequest { tenant: tenant.optional_text(at)? })
    })
}

impl Serialize for V1<'_, ExtendedCardRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", self.0.tenant.as_ref())?;
        members.close()
    }
}
