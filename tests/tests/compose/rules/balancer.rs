//! The load balancer is transparent: it does not buffer or time out early, and it finds new nodes.

use std::time::Duration;

use super::{Complaints, settings};
use crate::address::duration;
use crate::stack::Deployment;

pub fn check(stack: &Deployment, check: &mut Complaints) {
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
        check.ensure(nginx.header("proxy_set_header", header) == Some(value), complaint);
        // Nginx sets its own Connection header towards gRPC.
        let complaint = format!("the load balancer must set {header} to {value:?} for gRPC");
        let same = header == "Connection" || nginx.header("grpc_set_header", header) == Some(value);
        check.ensure(same, complaint);
    }
    for header in ["Last-Event-ID", "Authorization", "X-API-Key", "A2A-Version"] {
        let complaint = format!("the load balancer changes {header}");
        let changed = ["proxy_set_header", "grpc_set_header"].map(|set| nginx.header(set, header));
        check.ensure(changed == [None, None], complaint);
    }
    check.ensure(
        nginx.all("proxy_pass_request_headers").is_empty(),
        "the load balancer drops the headers of requests",
    );
    patience_and_size(stack, check);
    finds_nodes(stack, check);
    passes_grpc(stack, check);
    fails_well(stack, check);
}

/// Packages of an API node's gRPC services.
const GRPC_PACKAGES: [&str; 3] = [r"lf\.a2a", "a2a", "grpc"];
/// Directives that HTTP and gRPC locations must set to the same value.
const DIRECTIVES_FOR_HTTP_AND_GRPC: [&str; 6] = [
    "connect_timeout",
    "read_timeout",
    "send_timeout",
    "socket_keepalive",
    "next_upstream",
    "next_upstream_tries",
];

fn passes_grpc(stack: &Deployment, check: &mut Complaints) {
    let nginx = &stack.nginx;
    check.ensure(
        nginx.only("http2").as_deref() == Some("on"),
        "gRPC does not pass the load balancer: it needs `http2 on`",
    );
    let pass = nginx.0.iter().find(|directive| directive.name == "grpc_pass");
    let location = pass.and_then(|pass| pass.within.last()).map_or("", String::as_str);
    for package in GRPC_PACKAGES {
        let named = location.split(['(', '|', ')']).any(|word| word == package);
        check.ensure(named, format!("gRPC services of {package} are passed on as HTTP/1.1"));
    }
    let upstream = pass.and_then(|pass| pass.arguments.first());
    let upstream = upstream.and_then(|url| url.strip_prefix("grpc://")).unwrap_or_default();
    let block = format!("upstream {upstream}");
    let plain = nginx.only("proxy_pass").unwrap_or_default().replace("http://", "upstream ");
    check.ensure(block != plain, "connections to the API are kept for HTTP/1.1 and gRPC alike");
    for directive in ["server", "least_conn", "keepalive"] {
        let same = nginx.within(&block, directive) == nginx.within(&plain, directive);
        check.ensure(same, format!("`{block}` and `{plain}` differ in {directive}"));
    }
    for name in DIRECTIVES_FOR_HTTP_AND_GRPC {
        let (http, grpc) = (format!("proxy_{name}"), format!("grpc_{name}"));
        let same = nginx.only(&http).is_some() && nginx.only(&http) == nginx.only(&grpc);
        check.ensure(same, format!("{http} and {grpc} differ"));
    }
    let page = nginx.within(location, "error_page").concat();
    let answers = format!("location {}", page.rsplit(' ').next().unwrap_or_default());
    let status = nginx.within(&answers, "add_header").concat();
    check.ensure(
        page.starts_with("502 504 =200 ") && status.contains("grpc-status 14 always"),
        "without a node gRPC clients need UNAVAILABLE (14)",
    );
    let streams = nginx.only("http2_max_concurrent_streams").and_then(|text| text.parse().ok());
    check.ensure(
        streams.is_some_and(|streams: u32| streams >= 1_000),
        "calls that wait use up the streams of a gRPC channel",
    );
}

/// A replaced balancer hands over in seconds, and clients see a failure only when no node is up.
fn fails_well(stack: &Deployment, check: &mut Complaints) {
    let nginx = &stack.nginx;
    let handover = nginx.only("worker_shutdown_timeout").and_then(|text| duration(&text));
    check.ensure(
        handover.is_some_and(|time| time <= Duration::from_secs(5)),
        format!("nobody is served for {handover:?} while the load balancer is replaced"),
    );
    check.ensure(
        nginx.only("proxy_next_upstream_tries").as_deref() == Some("0"),
        "the load balancer gives up before every node was asked",
    );
    check.ensure(
        nginx.all("proxy_next_upstream_timeout").is_empty(),
        "a send that waits is not repeated on another node: its time is over",
    );
    let pages = nginx.0.iter().filter(|found| found.name == "error_page");
    let mut pages = pages.filter(|found| found.within.last().is_some_and(|last| last == "server"));
    let page = pages.next().map(|found| found.arguments.join(" ")).unwrap_or_default();
    let location = format!("location {}", page.rsplit(' ').next().unwrap_or_default());
    let covered = page.starts_with("502 504 =503 ");
    let json = nginx.within(&location, "default_type") == ["application/json"];
    let hint = nginx.within(&location, "add_header") == ["Retry-After 1 always"];
    check.ensure(
        covered && json && hint,
        "without a node clients need JSON with 503 and Retry-After",
    );
    let page = nginx.within("location /", "error_page").concat();
    let again = format!("location {}", page.rsplit(' ').next().unwrap_or_default());
    let starts_over = page.starts_with("502 504 = @")
        && nginx.within(&again, "proxy_pass") == nginx.within("location /", "proxy_pass")
        && nginx.only("recursive_error_pages").as_deref() == Some("on");
    check.ensure(starts_over, "requests on their way fail when the name resolves to other nodes");
}

fn patience_and_size(stack: &Deployment, check: &mut Complaints) {
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

fn finds_nodes(stack: &Deployment, check: &mut Complaints) {
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
