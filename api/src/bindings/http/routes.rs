//! The operations that have a place of their own over HTTP (A2A 5.3, 11.3): the one table of them, and how a path is found in it.

use axum::http::Method;
use longhaul_wire::Operation;
use percent_encoding::percent_decode_str;

/// The version of A2A that has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// 1.0, without a prefix.
    V1_0,
    /// 0.3, behind `/v1`.
    V0_3,
    /// Either.
    Both,
}

impl Of {
    const fn has(self, place: Self) -> bool {
        matches!(
            (self, place),
            (Self::Both, _) | (Self::V1_0, Self::V1_0) | (Self::V0_3, Self::V0_3)
        )
    }
}

/// One operation at one place. A name in braces is that of a parameter; a colon behind it starts a verb.
pub struct Route {
    of: Of,
    path: &'static str,
    pub method: Method,
    pub operation: Operation,
}

const fn route(of: Of, method: Method, path: &'static str, operation: Operation) -> Route {
    Route { of, path, method, operation }
}

const TASK: &str = "tasks/{id}";
const CANCEL: &str = "tasks/{id}:cancel";
const SUBSCRIBE: &str = "tasks/{id}:subscribe";
const CONFIGS: &str = "tasks/{taskId}/pushNotificationConfigs";
const CONFIG: &str = "tasks/{taskId}/pushNotificationConfigs/{id}";

/// Every route. Of two that match, the first counts.
static ROUTES: [Route; 14] = [
    route(Of::Both, Method::POST, "message:send", Operation::Send),
    route(Of::Both, Method::POST, "message:stream", Operation::Stream),
    route(Of::Both, Method::GET, "tasks", Operation::List),
    route(Of::Both, Method::POST, CANCEL, Operation::Cancel),
    route(Of::Both, Method::GET, SUBSCRIBE, Operation::Subscribe),
    route(Of::Both, Method::POST, SUBSCRIBE, Operation::Subscribe),
    route(Of::Both, Method::GET, TASK, Operation::Get),
    route(Of::Both, Method::GET, CONFIGS, Operation::ListPush),
    route(Of::Both, Method::POST, CONFIGS, Operation::CreatePush),
    route(Of::Both, Method::GET, CONFIG, Operation::GetPush),
    route(Of::Both, Method::DELETE, CONFIG, Operation::DeletePush),
    route(Of::V1_0, Method::GET, "extendedAgentCard", Operation::ExtendedCard),
    route(Of::V0_3, Method::GET, "card", Operation::ExtendedCard),
    // 0.3 wrote it so in one place.
    route(Of::V0_3, Method::POST, "task/{taskId}/pushNotificationConfigs", Operation::CreatePush),
];

/// A place in the table, with what the path says.
pub struct Place<'a> {
    of: Of,
    path: &'static str,
    /// Parameters by name, as they stand in the path.
    pub ids: Vec<(&'static str, &'a str)>,
}

impl<'a> Place<'a> {
    /// The place of a path.
    pub fn find(of: Of, path: &[&'a str]) -> Option<Self> {
        ROUTES
            .iter()
            .filter(|route| route.of.has(of))
            .find_map(|route| ids(route.path, path).map(|ids| Self { of, path: route.path, ids }))
    }

    /// What can be done there.
    pub fn routes(&self) -> impl Iterator<Item = &'static Route> {
        let (of, path) = (self.of, self.path);
        ROUTES.iter().filter(move |route| route.of.has(of) && route.path == path)
    }
}

/// The parameters in a path; `None` where it is another place.
fn ids<'a>(place: &'static str, path: &[&'a str]) -> Option<Vec<(&'static str, &'a str)>> {
    let mut ids = Vec::new();
    let mut segments = path.iter();
    for wanted in place.split('/') {
        let segment = *segments.next()?;
        match wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, verb)) => {
                let id = strip_verb(segment, verb)?;
                if id.is_empty() || id.starts_with(':') {
                    return None;
                }
                ids.push((name, id));
            }
            None if percent_decode_str(segment).eq(wanted.bytes()) => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(ids)
}

/// The id in front of a verb. Some clients encode the colon as if it were part of the id; ids that have a place before a verb have none.
fn strip_verb<'a>(segment: &'a str, verb: &str) -> Option<&'a str> {
    let Some(verb) = verb.strip_prefix(':') else { return Some(segment) };
    let colons = [":", "%3A", "%3a"];
    let (id, last) = colons
        .iter()
        .filter_map(|colon| segment.rsplit_once(colon))
        .max_by_key(|(id, _)| id.len())?;
    percent_decode_str(last).eq(verb.bytes()).then_some(id)
}

/// Every place, for people.
pub fn listed() -> String {
    let mut list: Vec<String> = Vec::new();
    for Route { of, path, method, .. } in &ROUTES {
        match of {
            Of::V1_0 | Of::Both => list.push(format!("{method} /{path}")),
            Of::V0_3 => {}
        }
    }
    list.join(", ")
}
