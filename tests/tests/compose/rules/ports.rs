//! Every configured port has its service listening on it.

use std::net::SocketAddr;

use super::{Complaints, settings};
use crate::address::{Url, port};
use crate::dockerfile::exec_form;
use crate::stack::{Deployment, Service};

/// Health check paths of API nodes and workers.
pub const HEALTH_PATHS: [&str; 2] = ["/healthz", "/readyz"];

pub fn check(stack: &Deployment, check: &mut Complaints) {
    let api = stack.service("api");
    let worker = stack.service("worker");
    if let Ok(settings) = settings::load(api) {
        agree(stack, api, settings.server.listen, check);
        let upstream = upstream(stack);
        check.ensure(
            upstream == Some(("api".to_owned(), settings.server.listen.port())),
            format!(
                "the load balancer asks {upstream:?}, the API listens on {}",
                settings.server.listen
            ),
        );
    }
    match settings::load(worker).map(|settings| settings.worker.listen) {
        Ok(Some(address)) => agree(stack, worker, address, check),
        _ => check.ensure(false, "worker tells its health nowhere: worker.listen is not set"),
    }
    published(stack, check);
}

/// Checks that a service's listen address, its `expose`, the image's `EXPOSE` and both health
/// checks agree.
fn agree(stack: &Deployment, service: Service<'_>, listen: SocketAddr, check: &mut Complaints) {
    let name = service.name;
    let number = listen.port().to_string();
    check.ensure(
        listen.ip().is_unspecified(),
        format!("{name} listens on {listen}, where other containers do not reach it"),
    );
    check.ensure(
        service.list("expose") == [number.as_str()],
        format!("{name} listens on {number} and exposes {:?}", service.list("expose")),
    );
    let target = service.target().unwrap_or_default();
    let exposed = stack.dockerfile.all(target, "EXPOSE");
    check.ensure(
        exposed.last() == Some(&number.as_str()),
        format!("{name} listens on {number}, its image says EXPOSE {exposed:?}"),
    );
    let health = service.health();
    check.ensure(
        asks(&health, &number),
        format!("{name} listens on {number}, its health check is {health:?}"),
    );
    let of_image = stack.dockerfile.all(target, "HEALTHCHECK").pop().unwrap_or_default();
    let of_image = of_image.split_once("CMD ").and_then(|(_, words)| exec_form(words));
    let same = of_image.as_ref().is_some_and(|words| health.get(1..) == Some(&refs(words)[..]));
    check.ensure(same, format!("the health checks of {name} and its image differ: {of_image:?}"));
}

fn asks(health: &[&str], number: &str) -> bool {
    matches!(health, ["CMD", "healthcheck", port, path] if *port == number && HEALTH_PATHS.contains(path))
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Host and port of the load balancer's upstream.
fn upstream(stack: &Deployment) -> Option<(String, u16)> {
    let mut servers = stack.nginx.0.iter().filter(|found| found.name == "server");
    let server = servers.next()?;
    let upstream = server.within.last()?.strip_prefix("upstream ")?;
    let used = stack.nginx.only("proxy_pass")? == format!("http://{upstream}");
    let (host, number) = server.arguments.first()?.split_once(':')?;
    used.then_some((host.to_owned(), number.parse().ok()?))
}

/// Checks that one port is published, and that it is the load balancer's.
fn published(stack: &Deployment, check: &mut Complaints) {
    let listen = stack.nginx.only("listen").unwrap_or_default();
    let listen = listen.split(' ').next().and_then(port);
    for service in stack.services() {
        let published = service.list("ports");
        if service.name == "lb" {
            let good = published.len() == 1 && port(published[0]) == listen;
            let complaint = format!("the load balancer listens on {listen:?}, not {published:?}");
            check.ensure(good, complaint);
        } else {
            let complaint =
                format!("{} publishes {published:?} past the load balancer", service.name);
            check.ensure(published.is_empty(), complaint);
        }
    }
    let health = stack.service("lb").health();
    let url = health.last().and_then(|url| Url::parse(url));
    let good = url.is_some_and(|url| Some(url.port) == listen && HEALTH_PATHS.contains(&url.path));
    check.ensure(good, format!("the load balancer's health check is {health:?}"));
    let public = stack.service("api").env().remove("LONGHAUL_SERVER_PUBLIC_URL");
    let place = stack.service("lb").list("ports").concat();
    let good = public
        .as_deref()
        .and_then(Url::parse)
        .is_some_and(|url| place.starts_with(&format!("{}:{}:", url.host, url.port)));
    check.ensure(good, format!("cards name {public:?}, the load balancer is at {place}"));
}
