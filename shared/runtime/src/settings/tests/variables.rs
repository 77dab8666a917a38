//! Tests of environment variables.

use super::{load, refused};
use crate::settings::ignored_kubernetes_variables;

#[test]
fn a_bad_variable_is_rejected_by_its_name() {
    for (name, value, parts) in [
        (
            "LONGHAUL_SERVER_LISTEN",
            "here",
            &["server.listen", "LONGHAUL_SERVER_LISTEN", "127.0.0.1:8080"][..],
        ),
        (
            "LONGHAUL_WORKER_CONCURRENCY",
            "many",
            &["worker.concurrency", "LONGHAUL_WORKER_CONCURRENCY", "whole number"],
        ),
        (
            "LONGHAUL_SERVER_ASSUME_VERSION",
            "yes",
            &["LONGHAUL_SERVER_ASSUME_VERSION", "true or false"],
        ),
        (
            "LONGHAUL_SEVER_LISTEN",
            "a",
            &["LONGHAUL_SEVER_LISTEN", "did you mean LONGHAUL_SERVER_LISTEN?"],
        ),
        (
            "LONGHAUL_DATABASEURL",
            "a",
            &["LONGHAUL_DATABASEURL", "did you mean LONGHAUL_DATABASE_URL?"],
        ),
        // Names as Kubernetes sets them, with values that it does not.
        ("LONGHAUL_SERVER_PORT", "8080", &["LONGHAUL_SERVER_PORT", "unknown setting"]),
        ("LONGHAUL_SERVICE_HOST", "db", &["LONGHAUL_SERVICE_HOST", "unknown setting"]),
    ] {
        refused(load("", &[(name, value)], &[]), parts);
    }
}

#[test]
fn variables_that_kubernetes_sets_for_services_are_ignored_and_can_be_listed() {
    let of_service = [
        ("LONGHAUL_SERVICE_HOST", "10.0.0.1"),
        ("LONGHAUL_SERVICE_PORT", "8080"),
        ("LONGHAUL_SERVICE_PORT_HTTP", "8080"),
        ("LONGHAUL_PORT", "tcp://10.0.0.1:8080"),
        ("LONGHAUL_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("LONGHAUL_PORT_8080_TCP_PROTO", "tcp"),
        ("LONGHAUL_PORT_8080_TCP_PORT", "8080"),
        ("LONGHAUL_PORT_8080_TCP_ADDR", "fd00::1"),
        ("LONGHAUL_API_SERVICE_HOST", "10.0.0.2"),
        ("LONGHAUL_SERVER_PORT", "udp://10.0.0.2:1"),
        ("LONGHAUL_SERVER_PORT_1_UDP", "udp://10.0.0.2:1"),
    ];
    load("", &of_service, &[]).unwrap();
    let settings = [("LONGHAUL_SERVER_LISTEN", "127.0.0.1:1"), ("PATH", "/bin")];
    let all = of_service.iter().chain(&settings).map(|(name, text)| (name.into(), text.into()));
    let names: Vec<&str> = of_service.iter().map(|(name, _)| *name).collect();
    assert_eq!(ignored_kubernetes_variables(all), names);
}
