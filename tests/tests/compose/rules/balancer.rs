//! The load balancer changes nothing on the way: it does not buffer, does not give up, and finds new nodes.

use std::time::Duration;

use super::{Check, settings};
use crate::address::duration;
use crate::stack::Stack;

pub fn check(stack: &Stack, check: &mut Check) {
    let nginx = &stack.nginx;
    for (name, value, why) in [
        ("proxy_buffering", "off", "events would wait in a buffer"),
        ("proxy_cache", "off", "answers belong to one caller"),
        ("gzip", "off", "compression holds events back"),
        ("proxy_http_version", "1.1", "connections to the API would not be kept"),
    ] {
        let found = nginx.only(name);
        let complaint = format!("the load balancer needs `{name} {value}`: {why}");
        check.ensure(found.as_deref() == Some(value), complaint);
    }
    for (header, value) in [
        ("Connection", ""),
        ("Host", "$http_host"),
        ("X-Forwarded-For", "$remote_addr"),
        ("X-Forwarded-Proto", "$scheme"),
        ("X-Forwarded-Host", "$http_host"),
    ] {
        let complaint = format!("the load balancer must set {header} to {value:?}");
        check.ensure(nginx.header(header) == Some(value), complaint);
    }
    for header in ["Last-Event-ID", "Authorization", "X-API-Key", "A2A-Version"] {
        let complaint = format!("the load balancer changes {header}");
        check.ensure(nginx.header(header).is_none(), complaint);
    }
    check.ensure(
        nginx.all("proxy_pass_request_headers").is_empty(),
        "the load balancer drops the headers of requests",
    );
    patience_and_size(stack, check);
    finds_nodes(stack, check);
}

fn patience_and_size(stack: &Stack, check: &mut Check) {
    let patience = stack.nginx.only("proxy_read_timeout").and_then(|text| duration(&text));
    check.ensure(
        patience.is_some_and(|time| time >= Duration::from_secs(3_600)),
        format!("the load balancer gives up on a waiting send after {patience:?}"),
    );
    let limit = stack.nginx.only("client_max_body_size").unwrap_or_default();
    let limit = limit.strip_suffix('m').and_then(|number| number.parse::<usize>().ok());
    let Ok(settings) = settings::load(stack.service("api")) else { return };
    check.ensure(
        limit.is_some_and(|limit| limit << 20 >= settings.server.max_body_bytes),
        "the load balancer refuses bodies that the API takes",
    );
}

fn finds_nodes(stack: &Stack, check: &mut Check) {
    let resolver = stack.nginx.only("resolver").unwrap_or_default();
    check.ensure(
        resolver.starts_with("127.0.0.11 ") && resolver.contains("valid="),
        "the load balancer does not ask Docker's DNS again and again",
    );
    let servers = stack.nginx.all("server");
    check.ensure(
        servers.iter().any(|server| server.split(' ').any(|word| word == "resolve")),
        "the load balancer resolves the API once only: `resolve` is missing",
    );
    check.ensure(!stack.nginx.all("zone").is_empty(), "`resolve` needs a `zone`");
    check.ensure(!stack.nginx.all("keepalive").is_empty(), "connections to the API are not kept");
    let image = stack.service("lb").text("image");
    let version = image.split([':', '-']).nth(1).unwrap_or_default();
    let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    check.ensure(numbers >= vec![1, 28], format!("{image} may not know `resolve` in an upstream"));
    let mounted = stack
        .service("lb")
        .list("volumes")
        .contains(&"./ops/lb/nginx.conf:/etc/nginx/nginx.conf:ro");
    check.ensure(mounted, "the load balancer does not read ops/lb/nginx.conf");
}
