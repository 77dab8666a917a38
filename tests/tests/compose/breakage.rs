//! The rules find what they are for: each line breaks one file in one place, and the complaint names it.

use super::rules::complaints;
use super::stack::{Stack, Texts};

/// Where something is broken.
#[derive(Debug, Clone, Copy)]
enum In {
    Compose,
    Example,
    Dockerfile,
    Ignore,
    Nginx,
    Unit,
    Cargo,
    Page,
}

/// File, text, what it becomes, and what the complaint says.
const BREAKAGES: [(In, &str, &str, &str); 55] = [
    (In::Compose, "LONGHAUL_LOG_FORMAT: json", "LONGHAUL_LOG_FORMATT: json", "no setting"),
    (In::Compose, "LONGHAUL_LOG_FORMAT: json", "LONGHAUL_LOG_FORMAT: xml", "log.format"),
    (In::Compose, "AUTH_MODE: keys", "AUTH_MODE: none", "lets everybody in"),
    (In::Compose, "LISTEN: 0.0.0.0:8080", "LISTEN: 0.0.0.0:9090", "listens on 9090"),
    (In::Compose, "LISTEN: 0.0.0.0:8080", "LISTEN: 127.0.0.1:8080", "do not reach it"),
    (In::Compose, "LISTEN: 0.0.0.0:8081", "LISTEN: 0.0.0.0:8082", "worker listens on 8082"),
    (In::Compose, "expose: [\"8080\"]", "ports: [\"8080:8080\"]", "past the load balancer"),
    (
        In::Compose,
        "[CMD, healthcheck, \"8081\", /healthz]",
        "[CMD, healthcheck, \"8081\", /health]",
        "its health check",
    ),
    (In::Compose, "@postgres:5432/longhaul", "@database:5432/longhaul", "not the database"),
    (In::Compose, "@rabbitmq:5672/%2f", "@rabbitmq:5672/other", "not the broker"),
    (In::Compose, "max_connections=300", "max_connections=100", "want 154"),
    (
        In::Compose,
        "condition: service_completed_successfully",
        "condition: service_started",
        "must wait for migrate",
    ),
    (In::Compose, "stop_grace_period: 45s", "stop_grace_period: 30s", "is killed after"),
    (In::Compose, "replicas: 2", "replicas: 1", "not two"),
    (In::Compose, "user: \"65532:65532\"", "user: root", "runs as root"),
    (In::Compose, "cap_drop: [ALL]", "cap_drop: []", "keeps capabilities"),
    (
        In::Compose,
        "postgres:${POSTGRES_VERSION:-17}",
        "postgres:${POSTGRES_VERSION:-latest}",
        "which version",
    ),
    (In::Compose, "volumes:\n  postgres:\n", "volumes:\n", "declared and used differ"),
    (In::Compose, "target: worker", "target: workers", "does not have"),
    (In::Example, "PORT=8080", "PORT=8081", "differ in variables"),
    (In::Dockerfile, "EXPOSE 8080", "EXPOSE 80", "EXPOSE"),
    (
        In::Dockerfile,
        "ENTRYPOINT [\"longhaul\"]",
        "ENTRYPOINT [\"longhauld\"]",
        "does not start longhaul",
    ),
    (In::Dockerfile, "COPY migrations migrations\n", "", "does not copy migrations"),
    (In::Dockerfile, "COPY examples/documents", "COPY examples/nothing", "does not exist"),
    (In::Ignore, "!migrations\n", "", ".dockerignore keeps migrations out"),
    (In::Nginx, "server api:8080", "server api:80", "the load balancer asks"),
    (In::Nginx, "proxy_buffering off", "proxy_buffering on", "events would wait"),
    (In::Nginx, "proxy_read_timeout 24h", "proxy_read_timeout 60s", "gives up"),
    (In::Nginx, "8080 resolve", "8080", "once only"),
    (In::Nginx, "http2 on;", "", "gRPC does not pass"),
    (In::Nginx, r"(lf\.a2a|a2a|grpc)", r"(lf\.a2a|a2a)", "gRPC services of grpc"),
    (In::Nginx, "grpc://api_grpc", "grpc://api", "HTTP/1.1 and gRPC alike"),
    (In::Nginx, "grpc_set_header Host $http_host;", "", "Host to \"$http_host\" for gRPC"),
    (In::Nginx, "grpc_read_timeout 24h", "grpc_read_timeout 60s", "read_timeout differ"),
    (In::Nginx, "http2_max_concurrent_streams 4096;", "", "streams of a gRPC channel"),
    (In::Nginx, "worker_shutdown_timeout 3s;", "", "is replaced"),
    (In::Nginx, "next_upstream_tries 0", "next_upstream_tries 2", "every node was asked"),
    (
        In::Nginx,
        "grpc_next_upstream_tries 0;",
        "proxy_next_upstream_timeout 5s;",
        "is not repeated",
    ),
    (In::Nginx, "add_header Retry-After 1 always;", "", "503 and Retry-After"),
    (
        In::Compose,
        "    image: longhaul:${LONGHAUL_TAG:-local}\n    command: [api]",
        "    image: longhaul:${LONGHAUL_TAG:-local}\n    build: *build\n    command: [api]",
        "is built by 2 services",
    ),
    (In::Nginx, "error_page 502 504 =200 @unavailable_grpc;", "", "UNAVAILABLE (14)"),
    (In::Compose, "replicas: ${WORKERS:-1}", "replicas: 1", "forgets how many workers"),
    (In::Compose, "nofile: 65536", "nofile: 1024", "lb may open 1024 files"),
    (In::Compose, "driver: local", "driver: json-file", "grows without a bound"),
    (
        In::Compose,
        "    read_only: true\n    tmpfs: [\"/tmp:mode=1777\"]\n    environment:",
        "    environment:",
        "rabbitmq can write",
    ),
    (
        In::Compose,
        "BUILD_REVISION: ${BUILD_REVISION:-}",
        "OTHER: ${BUILD_REVISION:-}",
        "built without BUILD_REVISION",
    ),
    (
        In::Compose,
        ":${POSTGRES_VOLUME:-/var/lib/postgresql/data}",
        ":/var/lib/postgresql/data",
        "differ in variables",
    ),
    (
        In::Example,
        "#PUBLIC_URL=https://agents.example.com",
        "PUBLIC_URL=http://127.0.0.1:8080",
        "sets PUBLIC_URL",
    ),
    (In::Example, "#PUBLIC_URL=", "#PUBLIC_URI=", "differ in variables"),
    (
        In::Dockerfile,
        "# Needs BuildKit",
        "# syntax=docker/dockerfile:1\n# Needs BuildKit",
        "needs a frontend",
    ),
    (In::Dockerfile, "COPY --chmod=644 ops", "COPY ops", "may be unreadable"),
    (In::Cargo, "strip = \"debuginfo\"\n", "", "is line tables"),
    (In::Page, "exec api longhaul keys", "run --rm api keys", "runs the migration again"),
    (In::Page, "up --build --detach --wait", "up --build", "blocks the terminal"),
    (In::Unit, "TimeoutStopSec=60", "TimeoutStopSec=20", "killed while it drains"),
];

fn broken(place: In, from: &str, to: &str) -> Stack {
    let mut texts = Texts::of_this_workspace();
    let text = match place {
        In::Compose => &mut texts.compose,
        In::Example => &mut texts.example,
        In::Dockerfile => &mut texts.dockerfile,
        In::Ignore => &mut texts.dockerignore,
        In::Nginx => &mut texts.nginx,
        In::Unit => &mut texts.units[0].1,
        In::Cargo => &mut texts.cargo,
        In::Page => &mut texts.pages[0].1,
    };
    assert!(text.contains(from), "{place:?} no longer says {from:?}: change this test too");
    *text = text.replace(from, to);
    Stack::of(&texts)
}

#[test]
fn a_broken_rule_is_named() {
    for (place, from, to, complaint) in BREAKAGES {
        let found = complaints(&broken(place, from, to));
        let named = found.iter().any(|sentence| sentence.contains(complaint));
        assert!(
            named,
            "{from:?} became {to:?} in {place:?}, and {complaint:?} is not in {found:#?}"
        );
    }
}
