use super::*;
use crate::{bindings::forwarded::Peer, testing::options};
use axum::http::Request;

fn policy(open: bool, hosts: &[&str], cors: &[&str]) -> OriginPolicy {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    OriginPolicy::new(
        open,
        &ApiOptions {
            public_url: Some("https://agents.example/base".to_owned()),
            allowed_hosts: owned(hosts),
            cors_origins: owned(cors),
            trusted_proxies: vec!["10.9.0.0/16".parse().unwrap()],
            ..options()
        },
    )
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn post(headers: &[(&str, &str)]) -> Parts {
    request("POST", "/", headers)
}

#[test]
fn an_open_server_accepts_only_its_own_host_names() {
    let policy = policy(true, &["agents.internal", "other:8080"], &[]);
    for host in [
        "localhost:8080",
        "app.localhost",
        "127.0.0.1",
        "203.0.113.7:80",
        "[2001:db8::1]:8080",
        "agents.example",
        "AGENTS.Internal:9",
        "other:8080",
    ] {
        assert_eq!(policy.check(&post(&[("host", host)])), Ok(OriginCheck::Plain), "{host}");
    }
    for host in ["evil.example", "agents.internal.evil.example", "other:81", "a@localhost", ""] {
        let foreign = Err(OriginRejection::Host(host.to_owned()));
        assert_eq!(policy.check(&post(&[("host", host)])), foreign, "{host}");
        // Reading is as dangerous, and of several hosts each counts.
        let both = request("GET", "/tasks", &[("host", "localhost"), ("host", host)]);
        assert_eq!(policy.check(&both), foreign, "{host}");
    }
    // In the form of HTTP/2.
    for (target, foreign) in
        [("http://evil.example/lf.a2a.v1.A2AService/GetTask", true), ("http://[::1]:8080/", false)]
    {
        assert_eq!(policy.check(&request("POST", target, &[])).is_err(), foreign, "{target}");
    }
    assert_eq!(policy.check(&post(&[])), Ok(OriginCheck::Plain), "no browser leaves out the host");
}

#[test]
fn an_open_server_rejects_foreign_origins() {
    let policy = policy(true, &["agents.internal"], &["https://app.example"]);
    let sent = |origin: &str| policy.check(&post(&[("host", "10.0.0.7:8080"), ("origin", origin)]));
    for origin in [
        "http://localhost:3000",
        "http://127.0.0.1:5173",
        "http://[::1]:1",
        "http://10.0.0.7:8080",
        "https://agents.example",
        "https://agents.internal:8443",
    ] {
        assert_eq!(sent(origin), Ok(OriginCheck::Plain), "{origin}");
    }
    assert_eq!(sent("https://app.example"), Ok(OriginCheck::Cors));
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil.example",
        // A page on another address, or on another port of this one, is foreign.
        "http://203.0.113.7",
        "http://10.0.0.7:9",
        "null",
        "chrome-extension://abc",
        "http://localhost.evil.example",
    ] {
        assert_eq!(sent(origin), Err(OriginRejection::Origin(origin.to_owned())), "{origin}");
    }
}

#[test]
fn an_open_server_rejects_cross_site_links() {
    let policy = policy(true, &[], &[]);
    for (site, foreign) in
        [("cross-site", true), ("same-site", true), ("same-origin", false), ("none", false)]
    {
        let link = request("GET", "/tasks", &[("sec-fetch-site", site)]);
        assert_eq!(policy.check(&link).is_err(), foreign, "{site}");
    }
}

#[test]
fn public_documents_and_probes_accept_any_host_and_origin() {
    let policy = policy(true, &[], &[]);
    let strange = [("host", "evil.example"), ("origin", "https://evil.example")];
    for (path, admission) in [
        ("/healthz", OriginCheck::Plain),
        ("/readyz", OriginCheck::Plain),
        ("/.well-known/agent-card.json", OriginCheck::Cors),
        ("/agents/a/.well-known/agent.json", OriginCheck::Cors),
        ("/.well-known/jwks.json", OriginCheck::Cors),
    ] {
        assert_eq!(policy.check(&request("GET", path, &strange)), Ok(admission), "{path}");
        assert!(policy.check(&request("POST", path, &strange)).is_err(), "{path}");
    }
    let probe = request("POST", "http://pod/grpc.health.v1.Health/Check", &[]);
    assert_eq!(policy.check(&probe), Ok(OriginCheck::Plain));
}

#[test]
fn a_server_with_keys_rejects_nothing_and_cors_follows_the_list() {
    let policy = policy(false, &[], &["https://app.example", "capacitor://localhost"]);
    let sent = |origin| policy.check(&post(&[("host", "evil.example"), ("origin", origin)]));
    assert_eq!(sent("https://evil.example"), Ok(OriginCheck::Plain));
    assert_eq!(sent("https://APP.example"), Ok(OriginCheck::Cors));
    assert_eq!(sent("capacitor://localhost"), Ok(OriginCheck::Cors));
}

#[test]
fn preflight_requests_are_checked() {
    let ask = |policy: OriginPolicy, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        policy.check(&request("OPTIONS", "/", &headers))
    };
    for open in [true, false] {
        let refused = ask(policy(open, &[], &["https://a.example"]), "https://evil.example");
        assert_eq!(refused.unwrap_err().reason(), "ORIGIN_NOT_ALLOWED");
        for cors in ["https://evil.example", "*"] {
            let allowed = ask(policy(open, &[], &[cors]), "https://evil.example");
            assert_eq!(allowed, Ok(OriginCheck::Cors), "{cors}");
        }
        // A page of this machine may call, but not read.
        assert!(ask(policy(open, &[], &[]), "http://localhost:3000").is_err());
    }
    assert_eq!(
        policy(true, &[], &["*"]).check(&post(&[("origin", "null")])),
        Ok(OriginCheck::Cors)
    );
}

#[test]
fn behind_a_listed_proxy_the_forwarded_host_counts() {
    let policy = policy(true, &[], &[]);
    let sent = |peer: &str, forwarded: &str, host: &str| {
        let mut parts = post(&[("host", host), ("x-forwarded-host", forwarded)]);
        parts.extensions.insert(Peer(peer.parse().unwrap()));
        policy.check(&parts).is_ok()
    };
    assert!(sent("10.9.0.1", "agents.example", "backend"));
    assert!(!sent("10.9.0.1", "evil.example", "127.0.0.1"));
    // Headers of other senders count for nothing.
    assert!(!sent("10.8.0.1", "agents.example", "backend"));
    assert!(sent("10.8.0.1", "evil.example", "127.0.0.1"));
}
