//! Short task ids: the beginning or the end of a recent task's id.

use crate::{exit::CommandError, screen::clean};
use longhaul_client::A2aClient;
use longhaul_wire::{ListRequest, TaskRef};

/// Characters of a whole id.
const ID_CHARS: usize = 36;
/// Fewest characters of a short id.
const MIN_SHORT_ID_CHARS: usize = 4;
/// Tasks of a page that is searched.
const PAGE_TASKS: u32 = 100;
/// Most pages that are searched, from the latest.
const MAX_PAGES: u32 = 10;
/// Most candidates that an error names.
const MAX_CANDIDATES: usize = 5;

/// Resolves a whole or short id. Text that cannot be a short id is taken as it is: other servers
/// have ids of other forms.
pub async fn resolve(text: &str, client: &A2aClient) -> Result<TaskRef, CommandError> {
    if !is_short(text) {
        return Ok(TaskRef::parse(text));
    }
    let mut request = ListRequest { page_size: Some(PAGE_TASKS), ..ListRequest::default() };
    let mut found: Vec<String> = Vec::new();
    // Pages come with the latest change first, so an id in use is found early.
    for _ in 0..MAX_PAGES {
        let page = client.tasks(&request).await?.value;
        let ids = page.tasks.iter().map(|task| task.id.to_string());
        // Ids of one day share their beginning; the end is random.
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
        several => Err(CommandError::usage(ambiguous(text, several))),
    }
}

/// Returns true for a piece of a UUID.
fn is_short(text: &str) -> bool {
    (MIN_SHORT_ID_CHARS..ID_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn ambiguous(text: &str, found: &[String]) -> String {
    let candidates: Vec<String> = found.iter().take(MAX_CANDIDATES).map(|id| clean(id)).collect();
    let more = if found.len() > MAX_CANDIDATES { ", …" } else { "" };
    format!(
        "{} tasks have an id that begins or ends with {text}: {}{more}; the end of an id tells recent tasks apart",
        found.len(),
        candidates.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pieces_of_uuids_are_short_ids() {
        for short in ["0199", "f0c2-7b7a", "0199f0c2-7b7a-7000-8000-00000000000"] {
            assert!(is_short(short), "{short}");
        }
        for other in ["019", "my-task", "0199F0C2", "0199f0c2-7b7a-7000-8000-000000000001"] {
            assert!(!is_short(other), "{other}");
        }
    }

    #[test]
    fn an_ambiguous_id_names_candidates() {
        let ids: Vec<String> = (0..7).map(|n| format!("0199-{n}")).collect();
        let error = ambiguous("0199", &ids);
        assert!(error.starts_with("7 tasks") && error.contains("0199-4, …"), "{error}");
    }
}
