//! Nothing runs as root or with more rights than it needs.

use super::Check;
use crate::stack::{Service, Stack};

/// Its start scripts write beside its configuration.
const WRITES_ITS_ROOT: [&str; 1] = ["rabbitmq"];

pub fn check(stack: &Stack, check: &mut Check) {
    for service in stack.services() {
        let name = service.name;
        check.ensure(is_plain_user(service.text("user")), format!("{name} runs as root"));
        let dropped = service.list("cap_drop") == ["ALL"] && service.value["cap_add"].is_null();
        check.ensure(dropped, format!("{name} keeps capabilities"));
        let confined = service.list("security_opt").contains(&"no-new-privileges:true");
        check.ensure(confined, format!("{name} may gain privileges"));
        check.ensure(service.value["privileged"].is_null(), format!("{name} is privileged"));
        let read_only = service.value["read_only"] == true || WRITES_ITS_ROOT.contains(&name);
        check.ensure(read_only, format!("{name} can write to its root file system"));
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

fn image(stack: &Stack, service: Service<'_>, target: &str, check: &mut Check) {
    let user = stack.dockerfile.all(target, "USER").pop().unwrap_or_default();
    check.ensure(is_plain_user(user), format!("the image {target} runs as root"));
    let complaint = format!("{} and its image {target} run as different users", service.name);
    check.ensure(user == service.text("user"), complaint);
}

/// User and group by number, so that the engine can tell that neither is root.
fn is_plain_user(user: &str) -> bool {
    let plain = |id: &str| id.parse::<u32>().is_ok_and(|id| id > 0);
    user.split_once(':').is_some_and(|(user, group)| plain(user) && plain(group))
}
