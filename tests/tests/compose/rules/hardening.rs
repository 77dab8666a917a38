//! No service runs as root or with more rights than it needs.

use super::Complaints;
use crate::stack::{Deployment, Service};

/// Services that hold one connection for each client or stream.
const SERVICES_WITH_MANY_CONNECTIONS: [&str; 4] = ["api", "worker", "lb", "rabbitmq"];
/// Open files that they need; engines start containers with a soft limit of 1,024.
const MIN_OPEN_FILES: u64 = 65_536;

pub fn check(stack: &Deployment, check: &mut Complaints) {
    for service in stack.services() {
        let name = service.name;
        check.ensure(is_plain_user(service.text("user")), format!("{name} runs as root"));
        let dropped = service.list("cap_drop") == ["ALL"] && service.value["cap_add"].is_null();
        check.ensure(dropped, format!("{name} keeps capabilities"));
        let confined = service.list("security_opt").contains(&"no-new-privileges:true");
        check.ensure(confined, format!("{name} may gain privileges"));
        check.ensure(service.value["privileged"].is_null(), format!("{name} is privileged"));
        let files = service.value["ulimits"]["nofile"].as_u64().unwrap_or_default();
        check.ensure(
            files >= MIN_OPEN_FILES || !SERVICES_WITH_MANY_CONNECTIONS.contains(&name),
            format!("{name} may open {files} files"),
        );
        let bounded = service.value["logging"]["driver"] == "local";
        check.ensure(bounded, format!("the log of {name} grows without a bound"));
        check.ensure(
            service.value["read_only"] == true,
            format!("{name} can write to its root file system"),
        );
        if let Some(target) = service.target() {
            image(stack, service, target, check);
        }
    }
    for unit in &stack.units {
        let complaint = format!("{} runs as root", unit.name);
        check.ensure(
            unit.get("DynamicUser") == Some("yes") && unit.get("User").is_none(),
            complaint,
        );
    }
}

fn image(stack: &Deployment, service: Service<'_>, target: &str, check: &mut Complaints) {
    let user = stack.dockerfile.all(target, "USER").pop().unwrap_or_default();
    check.ensure(is_plain_user(user), format!("the image {target} runs as root"));
    let complaint = format!("{} and its image {target} run as different users", service.name);
    check.ensure(user == service.text("user"), complaint);
}

/// User and group are numeric, so that the engine can tell that neither is root.
fn is_plain_user(user: &str) -> bool {
    let plain = |id: &str| id.parse::<u32>().is_ok_and(|id| id > 0);
    user.split_once(':').is_some_and(|(user, group)| plain(user) && plain(group))
}
