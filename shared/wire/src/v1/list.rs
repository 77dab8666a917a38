//! `ListTasksResponse` (A2A 3.1.4): all four members are always there.

use super::{V1, received, request::count, task};
use crate::{
    WireError,
    event::TaskPage,
    raw::{JsonPath, Parsed, RawJson, object},
    received::ReceivedPage,
    write::Members,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V1<'_, TaskPage> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.0;
        // Protobuf's int32.
        let total = page.total_size.min(i32::MAX.unsigned_abs());
        let mut members = Members::open(serializer)?;
        members.put("tasks", &Tasks(page))?;
        members.put("nextPageToken", &page.next_page_token)?;
        members.put("pageSize", &page.page_size)?;
        members.put("totalSize", &total)?;
        members.close()
    }
}

struct Tasks<'a>(&'a TaskPage);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let artifacts =
            if self.0.include_artifacts { task::Artifacts::Always } else { task::Artifacts::Never };
        let body = |task| task::TaskBody { task, artifacts, cursor: None };
        serializer.collect_seq(self.0.tasks.iter().map(body))
    }
}

fn number(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<u32> {
    count(raw, at, 0, i32::MAX.unsigned_abs())
}

/// Reads the result of List Tasks.
pub fn received_page(result: &RawValue) -> Result<ReceivedPage, WireError> {
    received(result, |raw, at| {
        let [tasks, token, size, total] =
            object(raw, at, ["tasks", "nextPageToken", "pageSize", "totalSize"])?;
        let tasks = tasks.list(at, task::read);
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
