//! Small writes are sent immediately: no connection waits for the acknowledgement of earlier data
//! (`TCP_NODELAY`).

use std::fs;
use std::os::fd::OwnedFd;

use longhaul_proto::pb::v1::{ListTasksRequest, a2a_service_client::A2aServiceClient};
use longhaul_tests::tasks::{TASK_TIMEOUT, id, start, stream, wait_for_state};
use longhaul_tests::{Mode, StackBuilder, TestProcess, eventually};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;
use tonic::transport::Endpoint;

/// A TCP connection of another process.
struct Connection {
    peer_port: u16,
    sends_at_once: bool,
    probes_silent_peers: bool,
}

/// The TCP connections of a process, read through duplicates of its descriptors.
fn connections(process: &TestProcess) -> Vec<Connection> {
    let pid = i32::try_from(process.pid()).expect("pids are small");
    let handle = pidfd_open(Pid::from_raw(pid).expect("it runs"), PidfdFlags::empty());
    let handle = handle.expect("it runs");
    let listed = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let numbers = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|number| match pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()) {
            Ok(descriptor) => connection(descriptor),
            Err(rustix::io::Errno::PERM) => {
                panic!(
                    "this test looks into the processes it starts and needs the right to trace them"
                )
            }
            // The descriptor was closed after it was listed.
            Err(_) => None,
        })
        .collect()
}

fn connection(descriptor: OwnedFd) -> Option<Connection> {
    let socket = Socket::from(descriptor);
    // A descriptor that is no TCP socket has neither address; a listener has no peer.
    let sends_at_once = socket.tcp_nodelay().ok()?;
    let peer_port = socket.peer_addr().ok()?.as_socket()?.port();
    Some(Connection { peer_port, sends_at_once, probes_silent_peers: socket.keepalive().ok()? })
}

fn port_of(url: &str) -> u16 {
    let (_, place) = url.rsplit_once('@').expect("the address names a user");
    let place = place.split('/').next().expect("the address names a place");
    let (_, port) = place.rsplit_once(':').expect("the address names a port");
    port.parse().expect("a port is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_sends_at_once() {
    let stack = StackBuilder::new(Mode::Distributed).start().await;
    let client = stack.client();
    // HTTP/1 with a stream, HTTP/2 with gRPC, and the command line are all connected.
    let task = start(&client, "!wait 60000").await;
    wait_for_state(&client, &id(&task), "WORKING").await;
    let mut events = stream(&client, "!wait 60000").await;
    events.next(TASK_TIMEOUT).await.expect("the stream begins");
    let channel = Endpoint::from_shared(stack.base()).expect("an address").connect().await;
    let mut grpc = A2aServiceClient::new(channel.expect("the node listens"));
    grpc.list_tasks(ListTasksRequest::default()).await.expect("gRPC is answered");
    let url = stack.base();
    let command = stack.command(&["tasks", "watch", "--url", &url, &id(&task)]).start();

    let database = port_of(&stack.database().url());
    let to_database = |one: &&Connection| one.peer_port == database;
    // Checks pools and listener, and the worker's session lock.
    for (process, least) in [(stack.nodes()[0].running(), 2), (stack.workers()[0].running(), 3)] {
        let found = settled(process, |all| all.iter().filter(to_database).count() >= least).await;
        for one in found.iter().filter(to_database) {
            assert!(one.probes_silent_peers, "a silent database would not be noticed");
        }
    }
    settled(&command, |all| !all.is_empty()).await;
}

/// The connections of a process, once there are enough and all have `TCP_NODELAY`. A new connection
/// does not have it at first, so one look would prove nothing.
async fn settled(process: &TestProcess, enough: impl Fn(&[Connection]) -> bool) -> Vec<Connection> {
    eventually(TASK_TIMEOUT, "all connections send at once", async || {
        let found = connections(process);
        let waits = found.iter().find(|one| !one.sends_at_once).map(|one| one.peer_port);
        match (waits, enough(&found)) {
            (None, true) => Ok(found),
            (Some(port), _) => Err(format!("one to port {port} waits for acknowledgements")),
            (None, false) => Err(format!("there are {} only", found.len())),
        }
    })
    .await
}
