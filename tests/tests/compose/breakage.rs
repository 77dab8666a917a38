//! Each rule detects its violation: every case breaks one file in one place, and the complaint
//! names it.

use super::rules::complaints;
use super::stack::{Deployment, DeploymentFiles};

/// File that a case breaks.
#[derive(Debug, Clone, Copy)]
enum BrokenFile {
    Compose,
    Example,
    Dockerfile,
    Ignore,
    Nginx,
    Unit,
    Cargo,
    Page,
}

/// File, text, its replacement, and the expected complaint.
const BREAKAGES: [(BrokenFile, &str, &str, &str); 58] = [
    (BrokenFile::Compose, "LONGHAUL_LOG_FORMAT: json", "LONGHAUL_LOG_FORMATT: json", "no setting"),
    (BrokenFile::Compose, "LONGHAUL_LOG_FORMAT: json", "LONGHAUL_LOG_FORMAT: xml", "log.format"),
    (BrokenFile::Compose, "AUTH_MODE: keys", "AUTH_MODE: none", "lets everybody in"),
    (BrokenFile::Compose, "LISTEN: 0.0.0.0:8080", "LISTEN: 0.0.0.0:9090", "listens on 9090"),
    (BrokenFile::Compose, "LISTEN: 0.0.0.0:8080", "LISTEN: 127.0.0.1:8080", "do not reach it"),
    (BrokenFile::Compose, "LISTEN: 0.0.0.0:8081", "LISTEN: 0.0.0.0:8082", "worker listens on 8082"),
    (BrokenFile::Compose, "expose: [\"8080\"]", "ports: [\"8080:8080\"]", "past the load balancer"),
    (
        BrokenFile::Compose,
        "[CMD, healthcheck, \"8081\", /healthz]",
        "[CMD, healthcheck, \"8081\", /health]",
        "its health check",
    ),
    (BrokenFile::Compose, "@postgres:5432/longhaul", "@database:5432/longhaul", "not the database"),
    (BrokenFile::Compose, "@rabbitmq:5672/%2f", "@rabbitmq:5672/other", "not the broker"),
    (BrokenFile::Compose, "max_connections=300", "max_connections=100", "want 154"),
    (
        BrokenFile::Compose,
        "condition: service_completed_successfully",
        "condition: service_started",
        "must wait for migrate",
    ),
    (BrokenFile::Compose, "stop_grace_period: 45s", "stop_grace_period: 30s", "is killed after"),
    (BrokenFile::Compose, "replicas: 2", "replicas: 1", "not two"),
    (BrokenFile::Compose, "user: \"65532:65532\"", "user: root", "runs as root"),
    (BrokenFile::Compose, "cap_drop: [ALL]", "cap_drop: []", "keeps capabilities"),
    (
        BrokenFile::Compose,
        "postgres:${POSTGRES_VERSION:-17}",
        "postgres:${POSTGRES_VERSION:-latest}",
        "which version",
    ),
    (BrokenFile::Compose, "volumes:\n  postgres:\n", "volumes:\n", "declared and used differ"),
    (BrokenFile::Compose, "target: worker", "target: workers", "does not have"),
    (BrokenFile::Example, "PORT=8080", "PORT=8081", "differ in variables"),
    (BrokenFile::Dockerfile, "EXPOSE 8080", "EXPOSE 80", "EXPOSE"),
    (
        BrokenFile::Dockerfile,
        "ENTRYPOINT [\"longhaul\"]",
        "ENTRYPOINT [\"longhauld\"]",
        "does not start longhaul",
    ),
    (BrokenFile::Dockerfile, "COPY migrations migrations\n", "", "does not copy migrations"),
    (BrokenFile::Dockerfile, "COPY examples/documents", "COPY examples/nothing", "does not exist"),
    (BrokenFile::Ignore, "!migrations\n", "", ".dockerignore keeps migrations out"),
    (BrokenFile::Nginx, "server api:8080", "server api:80", "the load balancer asks"),
    (BrokenFile::Nginx, "proxy_buffering off", "proxy_buffering on", "events would wait"),
    (BrokenFile::Nginx, "proxy_read_timeout 24h", "proxy_read_timeout 60s", "gives up"),
    (BrokenFile::Nginx, "8080 resolve", "8080", "once only"),
    (BrokenFile::Nginx, "http2 on;", "", "gRPC does not pass"),
    (BrokenFile::Nginx, r"(lf\.a2a|a2a|grpc)", r"(lf\.a2a|a2a)", "gRPC services of grpc"),
    (BrokenFile::Nginx, "grpc://api_grpc", "grpc://api", "HTTP/1.1 and gRPC alike"),
    (BrokenFile::Nginx, "grpc_set_header Host $http_host;", "", "Host to \"$http_host\" for gRPC"),
    (BrokenFile::Nginx, "grpc_read_timeout 24h", "grpc_read_timeout 60s", "read_timeout differ"),
    (BrokenFile::Nginx, "http2_max_concurrent_streams 4096;", "", "streams of a gRPC channel"),
    (BrokenFile::Nginx, "worker_shutdown_timeout 3s;", "", "is replaced"),
    (BrokenFile::Nginx, "next_upstream_tries 0", "next_upstream_tries 2", "every node was asked"),
    (
        BrokenFile::Nginx,
        "grpc_next_upstream_tries 0;",
        "proxy_next_upstream_timeout 5s;",
        "is not repeated",
    ),
    (BrokenFile::Nginx, "add_header Retry-After 1 always;", "", "503 and Retry-After"),
    (BrokenFile::Nginx, "error_page 502 504 = @again;", "", "resolves to other nodes"),
    (BrokenFile::Nginx, "recursive_error_pages on;", "", "resolves to other nodes"),
    (
        BrokenFile::Compose,
        "    image: longhaul:${LONGHAUL_TAG:-local}\n    command: [api]",
        "    image: longhaul:${LONGHAUL_TAG:-local}\n    build: *build\n    command: [api]",
        "is built by 2 services",
    ),
    (BrokenFile::Nginx, "error_page 502 504 =200 @unavailable_grpc;", "", "UNAVAILABLE (14)"),
    (BrokenFile::Compose, "replicas: ${WORKERS:-1}", "replicas: 1", "forgets how many workers"),
    (BrokenFile::Compose, "nofile: 65536", "nofile: 1024", "lb may open 1024 files"),
    (BrokenFile::Compose, "driver: local", "driver: json-file", "grows without a bound"),
    (
        BrokenFile::Compose,
        "    read_only: true\n    tmpfs: [\"/tmp:mode=1777\"]\n    environment:",
        "    environment:",
        "rabbitmq can write",
    ),
    (
        BrokenFile::Compose,
        "BUILD_REVISION: ${BUILD_REVISION:-}",
        "OTHER: ${BUILD_REVISION:-}",
        "built without BUILD_REVISION",
    ),
    (
        BrokenFile::Compose,
        ":${POSTGRES_VOLUME:-/var/lib/postgresql/data}",
        ":/var/lib/postgresql/data",
        "differ in variables",
    ),
    (
        BrokenFile::Example,
        "#PUBLIC_URL=https://agents.example.com",
        "PUBLIC_URL=http://127.0.0.1:8080",
        "sets PUBLIC_URL",
    ),
    (BrokenFile::Example, "#PUBLIC_URL=", "#PUBLIC_URI=", "differ in variables"),
    (
        BrokenFile::Dockerfile,
        "# Needs BuildKit",
        "# syntax=docker/dockerfile:1\n# Needs BuildKit",
        "needs a frontend",
    ),
    (BrokenFile::Dockerfile, "COPY --chmod=644 ops", "COPY ops", "may be unreadable"),
    (BrokenFile::Dockerfile, "--directory --mode=755 /etc/longhaul", "--version", "not be entered"),
    (BrokenFile::Cargo, "strip = \"debuginfo\"\n", "", "is line tables"),
    (BrokenFile::Page, "exec api longhaul keys", "run --rm api keys", "runs the migration again"),
    (BrokenFile::Page, "up --build --detach --wait", "up --build", "blocks the terminal"),
    (BrokenFile::Unit, "TimeoutStopSec=60", "TimeoutStopSec=20", "killed while it drains"),
];

fn broken(place: BrokenFile, from: &str, to: &str) -> Deployment {
    let mut texts = DeploymentFiles::of_this_workspace();
    let text = match place {
        BrokenFile::Compose => &mut texts.compose,
        BrokenFile::Example => &mut texts.example,
        BrokenFile::Dockerfile => &mut texts.dockerfile,
        BrokenFile::Ignore => &mut texts.dockerignore,
        BrokenFile::Nginx => &mut texts.nginx,
        BrokenFile::Unit => &mut texts.units[0].1,
        BrokenFile::Cargo => &mut texts.cargo,
        BrokenFile::Page => &mut texts.pages[0].1,
    };
    assert!(text.contains(from), "{place:?} no longer says {from:?}: change this test too");
    *text = text.replace(from, to);
    Deployment::of(&texts)
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
