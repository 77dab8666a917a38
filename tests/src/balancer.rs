//! The load balancer of the deployment: a real nginx with `ops/lb/nginx.conf`, on the loopback
//! address.
//!
//! Rewrites only what cannot hold here: addresses, folders, and Docker's DNS, which a list of nodes
//! replaces. Debian 12 has nginx 1.22, which cannot take HTTP/1.1 and cleartext HTTP/2 on one port
//! (`http2 on`, since 1.25.1); there gRPC gets a port of its own.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use crate::paths::{program, workspace};
use crate::port::Port;
use crate::process::{ProcessBuilder, TestProcess};
use crate::{Client, eventually};

/// First version of nginx with `http2 on`.
const FIRST_VERSION_WITH_SHARED_PORT: [u32; 3] = [1, 25, 1];
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running nginx.
pub struct Balancer {
    // Dropped in this order: the process is gone before its folder is.
    process: TestProcess,
    http: Port,
    grpc: Option<Port>,
    _folder: TempDir,
}

impl Balancer {
    /// Starts nginx in front of these addresses (`127.0.0.1:PORT`). Nothing has to listen there
    /// yet.
    pub async fn start(nodes: &[String]) -> Self {
        let nginx = nginx();
        let folder =
            TempDir::with_prefix("longhaul-lb-").expect("the temporary folder is writable");
        let http = Port::reserve();
        let grpc = (version(&nginx) < FIRST_VERSION_WITH_SHARED_PORT.to_vec()).then(Port::reserve);
        let text = adapted(nodes, &http, grpc.as_ref(), folder.path());
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).expect("our folder is writable");
        let file = file.display().to_string();
        // Started by root, nginx would change to a user who cannot enter our folder.
        let launch = ProcessBuilder::program(nginx, ["-c", &file, "-g", "daemon off; user root;"]);
        let balancer = Self { process: launch.start(), http, grpc, _folder: folder };
        eventually(START_LIMIT, "nginx listens", async || {
            assert!(balancer.process.is_running(), "nginx: {}", balancer.process.stderr());
            balancer.client().try_get_status("/healthz").await
        })
        .await;
        balancer
    }

    /// A client of JSON-RPC and HTTP+JSON.
    pub fn client(&self) -> Client {
        Client::new(&self.base())
    }

    /// The address for HTTP/1.1.
    pub fn base(&self) -> String {
        format!("http://{}", self.http.address())
    }

    /// The address for gRPC; the same where nginx can tell the protocols apart.
    pub fn grpc(&self) -> String {
        format!("http://{}", self.grpc.as_ref().unwrap_or(&self.http).address())
    }

    /// The nginx process.
    pub fn process(&self) -> &TestProcess {
        &self.process
    }
}

/// The nginx under test: [`NGINX`](crate::NGINX), else the installed one.
fn nginx() -> PathBuf {
    let named = env::var_os(crate::NGINX).map(PathBuf::from);
    let found = named.or_else(|| program("nginx", &[PathBuf::from("/usr/sbin")]));
    found.expect("no nginx in /usr/sbin or in the path: ./tests/run installs it")
}

fn version(nginx: &Path) -> Vec<u32> {
    let launch = ProcessBuilder::program(nginx, ["-v"]).start();
    launch.wait_exit(START_LIMIT);
    let text = launch.stderr();
    let numbers = text.rsplit('/').next().unwrap_or_default().trim();
    let numbers = numbers.split([' ', '.']).map_while(|number| number.parse().ok());
    numbers.collect()
}

/// The configuration of the deployment, with these nodes and ports.
fn adapted(nodes: &[String], http: &Port, grpc: Option<&Port>, folder: &Path) -> String {
    let file = workspace().join("ops/lb/nginx.conf");
    let text = fs::read_to_string(file).expect("the workspace has an nginx.conf");
    let mut servers = String::new();
    for node in nodes {
        write!(servers, "server {node} max_fails=2 fail_timeout=2s;")
            .expect("a string takes everything");
    }
    let own_port = grpc.map(|port| format!("listen {} http2;", port.address()));
    let folder = format!("{}/", folder.display());
    let rewrites = [
        ("resolver 127.0.0.11 valid=2s ipv6=off;", ""),
        ("resolver_timeout 2s;", ""),
        ("server api:8080 resolve max_fails=2 fail_timeout=2s;", &servers),
        ("listen 8080 ", &format!("listen {} ", http.address())),
        ("http2 on;", own_port.as_deref().unwrap_or("http2 on;")),
        (" /tmp/", &format!(" {folder}")),
    ];
    rewrites.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "ops/lb/nginx.conf no longer says {from:?}: adapt this too");
        text.replace(from, to)
    })
}
