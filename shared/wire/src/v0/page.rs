//! A list of tasks: an extra, as none of these versions says how it looks in JSON-RPC. The members are those of 1.0.

use super::{Cx, LegacyForm, V0, task};
use crate::{
    WireError,
    event::TaskPage,
    raw::{RawJson, object},
    received::ReceivedPage,
    v1::{count, received},
    write::Members,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V0<'_, TaskPage> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.value;
        let mut members = Members::open(serializer)?;
        members.put("tasks", &Tasks(self.cx, page))?;
        members.put("nextPageToken", &page.next_page_token)?;
        members.put("pageSize", &page.page_size)?;
        members.put("totalSize", &page.total_size.min(i32::MAX.unsigned_abs()))?;
        members.close()
    }
}

struct Tasks<'a>(Cx<'a>, &'a TaskPage);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(cx, page) = *self;
        let artifacts = page.include_artifacts;
        let body = |task| task::TaskBody { cx, task, artifacts, cursor: None };
        serializer.collect_seq(page.tasks.iter().map(body))
    }
}

/// Reads a list of tasks.
pub fn received_page(form: LegacyForm, result: &RawValue) -> Result<ReceivedPage, WireError> {
    received(result, |raw, at| {
        let [tasks, token, size, total] =
            object(raw, at, ["tasks", "nextPageToken", "pageSize", "totalSize"])?;
        let number = |raw: RawJson<'_>, at: &crate::raw::JsonPath<'_>| {
            count(raw, at, 0, i32::MAX.unsigned_abs())
        };
        let tasks = tasks.list(at, |raw, at| task::read(form, raw, at));
        let token = token.text(at);
        let size = size.optional(at, number);
        let total = total.optional(at, number);
        Ok(ReceivedPage {
            tasks: tasks?,
            next_page_token: token?,
            page_size: size?.unwrap_or_default(),
            total_size: total?.unwrap_or_default(),
        })
    })
}
