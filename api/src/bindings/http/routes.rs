//! The operations with HTTP paths (A2A 5.3, 11.3): the one table of them, and the search in it.

use axum::http::Method;
use longhaul_wire::Operation;
use percent_encoding::percent_decode_str;

/// A2A versions that have a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteVersion {
    /// 1.0, without a prefix.
    V1_0,
    /// 0.3, under `/v1`.
    V0_3,
    /// Either version.
    Both,
}

impl RouteVersion {
    const fn includes(self, place: Self) -> bool {
        matches!(
            (self, place),
            (Self::Both, _) | (Self::V1_0, Self::V1_0) | (Self::V0_3, Self::V0_3)
        )
    }
}

/// One operation at one path. Braces enclose a parameter; a colon after it begins a verb.
pub struct OperationRoute {
    route_version: RouteVersion,
    path: &'static str,
    pub method: Method,
    pub operation: Operation,
}

const fn route(
    route_version: RouteVersion,
    method: Method,
    path: &'static str,
    operation: Operation,
) -> OperationRoute {
    OperationRoute { route_version, path, method, operation }
}

const TASK_PATH: &str = "tasks/{id}";
const CANCEL_PATH: &str = "tasks/{id}:cancel";
const SUBSCRIBE_PATH: &str = "tasks/{id}:subscribe";
const PUSH_CONFIGS_PATH: &str = "tasks/{taskId}/pushNotificationConfigs";
const PUSH_CONFIG_PATH: &str = "tasks/{taskId}/pushNotificationConfigs/{id}";

/// All routes. Of two that match, the first counts.
static ROUTES: [OperationRoute; 14] = [
    route(RouteVersion::Both, Method::POST, "message:send", Operation::Send),
    route(RouteVersion::Both, Method::POST, "message:stream", Operation::Stream),
    route(RouteVersion::Both, Method::GET, "tasks", Operation::List),
    route(RouteVersion::Both, Method::POST, CANCEL_PATH, Operation::Cancel),
    route(RouteVersion::Both, Method::GET, SUBSCRIBE_PATH, Operation::Subscribe),
    route(RouteVersion::Both, Method::POST, SUBSCRIBE_PATH, Operation::Subscribe),
    route(RouteVersion::Both, Method::GET, TASK_PATH, Operation::Get),
    route(RouteVersion::Both, Method::GET, PUSH_CONFIGS_PATH, Operation::ListPush),
    route(RouteVersion::Both, Method::POST, PUSH_CONFIGS_PATH, Operation::CreatePush),
    route(RouteVersion::Both, Method::GET, PUSH_CONFIG_PATH, Operation::GetPush),
    route(RouteVersion::Both, Method::DELETE, PUSH_CONFIG_PATH, Operation::DeletePush),
    route(RouteVersion::V1_0, Method::GET, "extendedAgentCard", Operation::ExtendedCard),
    route(RouteVersion::V0_3, Method::GET, "card", Operation::ExtendedCard),
    // The 0.3 specification has this spelling in one place.
    route(
        RouteVersion::V0_3,
        Method::POST,
        "task/{taskId}/pushNotificationConfigs",
        Operation::CreatePush,
    ),
];

/// A path of the table, with its parameters.
pub struct MatchedRoute<'a> {
    route_version: RouteVersion,
    path: &'static str,
    /// Parameters by name, undecoded.
    pub ids: Vec<(&'static str, &'a str)>,
}

impl<'a> MatchedRoute<'a> {
    /// Finds the table's entry for a path.
    pub fn find(route_version: RouteVersion, path: &[&'a str]) -> Option<Self> {
        ROUTES.iter().filter(|route| route.route_version.includes(route_version)).find_map(
            |route| ids(route.path, path).map(|ids| Self { route_version, path: route.path, ids }),
        )
    }

    /// Routes at this path, one per method.
    pub fn routes(&self) -> impl Iterator<Item = &'static OperationRoute> {
        let (route_version, path) = (self.route_version, self.path);
        ROUTES
            .iter()
            .filter(move |route| route.route_version.includes(route_version) && route.path == path)
    }
}

/// Parameters of a path; `None` when it does not match.
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

/// The id in front of a verb. Some clients encode the colon as if it belonged to the id; ids of
/// paths with a verb contain none.
fn strip_verb<'a>(segment: &'a str, verb: &str) -> Option<&'a str> {
    let Some(verb) = verb.strip_prefix(':') else { return Some(segment) };
    let colons = [":", "%3A", "%3a"];
    let (id, last) = colons
        .iter()
        .filter_map(|colon| segment.rsplit_once(colon))
        .max_by_key(|(id, _)| id.len())?;
    percent_decode_str(last).eq(verb.bytes()).then_some(id)
}

/// List of all paths, for error messages.
pub fn listed() -> String {
    let mut list: Vec<String> = Vec::new();
    for OperationRoute { route_version, path, method, .. } in &ROUTES {
        match route_version {
            RouteVersion::V1_0 | RouteVersion::Both => list.push(format!("{method} /{path}")),
            RouteVersion::V0_3 => {}
        }
    }
    list.join(", ")
}
