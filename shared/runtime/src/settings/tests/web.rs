//! Tests of hosts, origins and proxies in `[server]`.

use super::*;

#[test]
fn hosts_and_origins_have_the_form_of_requests() {
    let server = |key: &str, value: &str| load(&format!("[server]\n{key} = [{value:?}]"), &[], &[]);
    for host in ["agents.internal", "longhaul:8080", "[::1]:8080", "[::1]", "10.0.0.1"] {
        assert_eq!(server("allowed_hosts", host).unwrap().server.allowed_hosts, [host]);
    }
    for wrong in [
        "", "*", "http://a", "a/b", "a:", "a:b", "a:70000", "a:0", "*.a", ".a", "::1", "[x]", "a b",
    ] {
        refused(server("allowed_hosts", wrong), &["server.allowed_hosts[0]", "agents.internal"]);
    }
    for origin in
        ["*", "https://a", "http://localhost:3000", "capacitor://localhost", "http://[::1]:1"]
    {
        assert_eq!(server("cors_origins", origin).unwrap().server.cors_origins, [origin]);
    }
    for wrong in ["", "a", "https://a/", "https://a/b", "https://*.a", "null", "://a"] {
        refused(
            server("cors_origins", wrong),
            &["server.cors_origins[0]", "https://app.example.com"],
        );
    }
    let settings = load("", &[("LONGHAUL_SERVER_CORS_ORIGINS", "https://a, https://b")], &[]);
    assert_eq!(settings.unwrap().server.cors_origins, ["https://a", "https://b"]);
}

#[test]
fn proxies_are_addresses_or_networks() {
    let server = |value: &str| load(&format!("[server]\ntrusted_proxies = [{value:?}]"), &[], &[]);
    for good in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
        assert_eq!(server(good).unwrap().server.trusted_proxies, [good]);
    }
    for wrong in ["", "proxy", "10.0.0.0/33", "10.0.0", "*", "10.0.0.1:80"] {
        refused(server(wrong), &["server.trusted_proxies[0]", "10.0.0.0/8"]);
    }
    assert_eq!(parse_network("::ffff:10.0.0.1"), parse_network("10.0.0.1"));
}
