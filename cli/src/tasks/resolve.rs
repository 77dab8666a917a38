//! Short ids: the beginning or the end of the id of a recent task stands for the task.

use crate::{
    args::Server,
    client::{Endpoint, params, unreadable},
    exit::Failure,
    screen::clean,
};
use longhaul_wire::{ListRequest, TaskRef, v1};

/// Characters of a whole id.
const WHOLE_ID_CHARS: usize = 36;
/// Fewest characters that are worth a search.
const MIN_SHORT_CHARS: usize = 4;
/// Tasks of one page, and pages that are searched.
const PAGE_TASKS: u32 = 100;
const MAX_PAGES: u32 = 10;
/// Candidates that an error names.
const MAX_CANDIDATES: usize = 5;

/// The task that a text names. What is no short id is taken as it is: other servers have ids of other kinds.
pub async fn task(text: &str, server: &Server) -> Result<TaskRef, Failure> {
    if !is_short(text) {
        return Ok(TaskRef::parse(text));
    }
    let endpoint = Endpoint::new(server)?;
    let mut request = ListRequest { page_size: Some(PAGE_TASKS), ..ListRequest::default() };
    let mut found: Vec<String> = Vec::new();
    for _ in 0..MAX_PAGES {
        let raw = endpoint.call("ListTasks", &params(&request)?).await?;
        let page = v1::received_page(&raw).map_err(|error| unreadable(&error))?;
        let ids = page.tasks.iter().map(|task| task.id.to_string());
        found.extend(ids.filter(|id| id.starts_with(text) || id.ends_with(text)));
        if page.tasks.is_empty() || page.next_page_token.is_empty() {
            break;
        }
        request.page_token = Some(page.next_page_token);
    }
    match &found[..] {
        // An id that a client has chosen may look like a short one.
        [] => Ok(TaskRef::parse(text)),
        [only] => Ok(TaskRef::parse(only)),
        several => Err(Failure::usage(ambiguous(text, several))),
    }
}

/// Whether a text is a piece of an id as this server makes them.
fn is_short(text: &str) -> bool {
    (MIN_SHORT_CHARS..WHOLE_ID_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn ambiguous(text: &str, found: &[String]) -> String {
    let shown: Vec<String> = found.iter().take(MAX_CANDIDATES).map(|id| clean(id)).collect();
    let more = if found.len() > MAX_CANDIDATES { ", …" } else { "" };
    format!(
        "{} tasks have an id that begins or ends with {text}: {}{more}; the end of an id tells recent tasks apart",
        found.len(),
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_ids_are_short_ids_and_nothing_else_is() {
        for short in ["0199", "f0c2-7b7a", "0199f0c2-7b7a-7000-8000-00000000000"] {
            assert!(is_short(short), "{short}");
        }
        for other in ["019", "my-task", "0199F0C2", "0199f0c2-7b7a-7000-8000-000000000001"] {
            assert!(!is_short(other), "{other}");
        }
    }

    #[test]
    fn several_candidates_are_named() {
        let ids: Vec<String> = (0..7).map(|n| format!("0199-{n}")).collect();
        let said = ambiguous("0199", &ids);
        assert!(said.starts_with("7 tasks") && said.contains("0199-4, …"), "{said}");
    }
}
