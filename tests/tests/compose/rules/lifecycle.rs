//! Services start after their dependencies, and get enough time to stop.

use std::time::Duration;

use super::{Complaints, settings};
use crate::address::duration;
use crate::stack::{Deployment, Service};

/// Longest time that a process takes after its drain, to stop executors and write the rest.
const STOP_TIME_AFTER_DRAIN: Duration = Duration::from_secs(13);

pub fn check(stack: &Deployment, check: &mut Complaints) {
    for (service, needed, condition) in [
        ("migrate", "postgres", "service_healthy"),
        ("api", "migrate", "service_completed_successfully"),
        ("worker", "migrate", "service_completed_successfully"),
        // Tasks run without the broker, so no service may wait until it is healthy.
        ("api", "rabbitmq", "service_started"),
        ("worker", "rabbitmq", "service_started"),
        ("lb", "api", "service_healthy"),
    ] {
        let found = stack.service(service).value["depends_on"][needed]["condition"].as_str();
        let complaint = format!("{service} must wait for {needed}: {condition}, not {found:?}");
        check.ensure(found == Some(condition), complaint);
    }
    for service in stack.services() {
        dependencies(stack, service, check);
        let expected = if service.name == "migrate" { "no" } else { "unless-stopped" };
        let complaint = format!("{} must have restart {expected:?}", service.name);
        check.ensure(service.text("restart") == expected, complaint);
    }
    for name in ["api", "worker"] {
        scales(stack.service(name), check);
        time_to_stop(stack, name, check);
    }
    let replicas = stack.service("api").value["deploy"]["replicas"].as_u64();
    check.ensure(replicas == Some(2), format!("there are {replicas:?} API nodes, not two"));
    // The default of `${WORKERS:-1}`.
    let workers = stack.service("worker").value["deploy"]["replicas"].as_str();
    check.ensure(
        workers == Some("1") && stack.variables.contains_key("WORKERS"),
        "the next `up` forgets how many workers there were: WORKERS does not say it",
    );
    for (page, text) in &stack.pages {
        for (words, why) in [
            ("compose run --rm", "starts what is stopped and runs the migration again"),
            ("up --scale worker", "is forgotten by the next `up`"),
            ("--detach --scale worker", "is forgotten by the next `up`"),
            ("compose up --build\n", "blocks the terminal"),
            ("--no-deps migrate", "makes the next `up` of Compose 2.26 replace everything"),
            ("--no-deps worker", "makes the next `up` of Compose 2.26 replace everything"),
        ] {
            check.ensure(!text.contains(words), format!("{page}: `{words}` {why}"));
        }
    }
}

fn dependencies(stack: &Deployment, service: Service<'_>, check: &mut Complaints) {
    let needed = service.value["depends_on"].as_object().into_iter().flatten();
    for (name, how) in needed {
        let Some(other) = stack.services().into_iter().find(|other| other.name == name) else {
            check.ensure(false, format!("{} waits for {name}, which is no service", service.name));
            continue;
        };
        let waits_for_health = how["condition"] == "service_healthy";
        let complaint =
            format!("{} waits for the health of {name}, which tells none", service.name);
        check.ensure(!waits_for_health || !other.health().is_empty(), complaint);
    }
}

/// Rejects settings that only one container can have, such as a fixed name.
fn scales(service: Service<'_>, check: &mut Complaints) {
    for key in ["container_name", "hostname", "ports"] {
        let complaint = format!("{} cannot be started twice: it has {key}", service.name);
        check.ensure(service.value[key].is_null(), complaint);
    }
}

fn time_to_stop(stack: &Deployment, name: &str, check: &mut Complaints) {
    let Ok(settings) = settings::load(stack.service(name)) else { return };
    let drain = settings.server.drain.get().max(settings.worker.drain.get());
    let grace = duration(stack.service(name).text("stop_grace_period"));
    check.ensure(
        grace.is_some_and(|grace| grace >= drain + STOP_TIME_AFTER_DRAIN),
        format!("{name} drains for {drain:?} and is killed after {grace:?}"),
    );
    for unit in &stack.units {
        let stop = unit.get("TimeoutStopSec").and_then(|text| text.parse().ok());
        check.ensure(
            stop.is_some_and(|seconds| {
                Duration::from_secs(seconds) >= drain + STOP_TIME_AFTER_DRAIN
            }),
            format!("{} is killed while it drains for {drain:?}", unit.name),
        );
    }
}
