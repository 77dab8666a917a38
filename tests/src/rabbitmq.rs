//! Private RabbitMQ nodes.
//!
//! Guarantee: a node has its own port, name, cookie, port mapper (epmd) and folder, runs as the
//! user of the tests, and shares nothing with a RabbitMQ of the machine. Quorum queues work on it,
//! with one member.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::ChildGroup;
use crate::eventually::eventually_blocking;
use crate::paths;
use crate::port::Port;

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const IO_LIMIT: Duration = Duration::from_secs(5);

/// A private RabbitMQ node on a free port of 127.0.0.1 that tests can stop, kill and restart.
pub struct RabbitMq {
    // Dropped in this order: the node, then its port mapper, then their folder.
    node: Option<ChildGroup>,
    _mapper: ChildGroup,
    amqp: Port,
    distribution: Port,
    mapper_port: Port,
    folder: TempDir,
}

impl RabbitMq {
    /// Starts a fresh node and returns when it answers AMQP.
    pub fn private() -> Self {
        Self::private_with("")
    }

    /// [`RabbitMq::private`] with additional lines of `rabbitmq.conf`.
    pub fn private_with(lines: &str) -> Self {
        let config = format!("{CONFIG}{lines}");
        let folder =
            TempDir::with_prefix("longhaul-mq-").expect("the temporary folder is writable");
        for (name, text) in
            [("enabled_plugins", "[].\n"), ("rabbitmq.conf", config.as_str()), ("empty.conf", "")]
        {
            fs::write(folder.path().join(name), text).expect("our folder is writable");
        }
        let mapper_port = Port::reserve();
        let mut mapper = Command::new(program("epmd"));
        // In the foreground: started by the node itself it would detach and outlive the tests.
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.number().to_string()]);
        mapper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mapper = ChildGroup::spawn(&mut mapper, None);
        eventually_blocking(IO_LIMIT, "epmd listens", || TcpStream::connect(mapper_port.address()));
        let (amqp, distribution) = (Port::reserve(), Port::reserve());
        let mut rabbitmq =
            Self { node: None, _mapper: mapper, amqp, distribution, mapper_port, folder };
        rabbitmq.start();
        rabbitmq
    }

    /// Starts a stopped node on the same port and data, and returns when it answers AMQP.
    pub fn start(&mut self) {
        assert!(self.node.is_none(), "this RabbitMQ runs already");
        // After a kill, the port mapper may know the dead node's name for a moment, and the new
        // node refuses to start.
        eventually_blocking(START_LIMIT, "RabbitMQ starts", || self.try_start());
    }

    /// Shuts the node down cleanly (`SIGTERM`); clients see their connections closed.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills the node.
    pub fn kill9(&mut self) {
        self.end(Signal::KILL);
    }

    /// Deletes the data of a stopped node: the next start is a fresh node at the same address.
    pub fn wipe(&mut self) {
        assert!(self.node.is_none(), "this RabbitMQ runs");
        let data = self.folder.path().join("mnesia");
        fs::remove_dir_all(data).expect("a node that ran has data");
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.amqp.address()
    }

    /// Freezes the node: connections stay open and get no response.
    pub fn sigstop(&self) {
        self.running().freeze();
    }

    /// Resumes after [`RabbitMq::sigstop`].
    pub fn sigcont(&self) {
        self.running().signal(Signal::CONT);
    }

    /// The address of the default virtual host.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.amqp.address())
    }

    /// The process id of the node.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Runs `rabbitmqctl` on this node and returns its output; panics on an error. Takes about a
    /// second.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let mut ctl = self.command("rabbitmqctl");
        let output = ctl.arg("-q").args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run rabbitmqctl: {error}"));
        let (answer, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "rabbitmqctl {arguments:?} failed: {answer}{complaint}");
        answer.into_owned()
    }

    /// The node's whole log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn running(&self) -> &ChildGroup {
        self.node.as_ref().expect("this RabbitMQ is stopped")
    }

    fn end(&mut self, signal: Signal) {
        let node = self.node.take().expect("this RabbitMQ is stopped already");
        node.signal(signal);
        assert!(
            node.wait_exit(STOP_LIMIT).is_some(),
            "RabbitMQ did not end within {STOP_LIMIT:?}:\n{}",
            self.log()
        );
    }

    fn try_start(&mut self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("our folder is writable");
        let mut command = self.command("rabbitmq-server");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let node = ChildGroup::spawn(&mut command, Some(self.folder.path()));
        let address = self.amqp.address();
        eventually_blocking(START_LIMIT, "RabbitMQ answers AMQP or ends", || {
            match node.try_exit() {
                Some(_) => Ok(Err(())),
                None => greet(&address).map(Ok),
            }
        })
        .map_err(|()| format!("it ended; its log: {}", self.log()))?;
        self.node = Some(node);
        Ok(())
    }

    /// A RabbitMQ program with an environment that keeps it from the machine's own node, files and
    /// cookie.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        let folder = self.folder.path();
        for (variable, _) in
            env::vars_os().filter(|(name, _)| is_broker_variable(&name.to_string_lossy()))
        {
            command.env_remove(variable);
        }
        command.current_dir(folder).env("HOME", folder);
        command.env("RABBITMQ_NODENAME", format!("longhaul{}@localhost", self.amqp.number()));
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_NODE_PORT", self.amqp.number().to_string());
        command.env("RABBITMQ_DIST_PORT", self.distribution.number().to_string());
        command.env("ERL_EPMD_PORT", self.mapper_port.number().to_string());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_LOGS", "-");
        // Makes the start script become the node, so that its pid is the node's.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        // A scheduler per core that spins while idle would take the cores from the tests.
        command.env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        );
        for (variable, place) in FILES {
            command.env(variable, folder.join(place));
        }
        command
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("rabbitmq.log")
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the private RabbitMQ's log\n{}", self.log());
        }
    }
}

const CONFIG: &str = "log.console = true\nlog.console.level = warning\n\
    # A test machine may be short of either; the alarms would stop every publisher.\n\
    disk_free_limit.absolute = 10MB\nvm_memory_high_watermark.relative = 0.8\n";

const FILES: [(&str, &str); 8] = [
    ("RABBITMQ_MNESIA_BASE", "mnesia"),
    ("RABBITMQ_LOG_BASE", "log"),
    ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
    ("RABBITMQ_CONF_ENV_FILE", "empty.conf"),
    ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
    ("RABBITMQ_GENERATED_CONFIG_DIR", "config"),
    ("RABBITMQ_SCHEMA_DIR", "schema"),
    ("RABBITMQ_PID_FILE", "pid"),
];

fn is_broker_variable(name: &str) -> bool {
    ["RABBITMQ_", "ERL_", "NOTIFY_SOCKET"].iter().any(|start| name.starts_with(start))
}

fn program(name: &str) -> PathBuf {
    let mut folders = paths::versions("/usr/lib/rabbitmq/lib", "sbin");
    // Debian's scripts in the path switch to the user rabbitmq; those of the library folder do not.
    folders.push(Path::new("/usr/lib/rabbitmq/bin").to_owned());
    paths::program(name, &folders)
        .unwrap_or_else(|| panic!("no RabbitMQ program {name} found: ./tests/run installs it"))
}

/// Opens an AMQP 0-9-1 connection up to the server's `connection.start`, which shows that the
/// broker is up.
pub(crate) fn greet(address: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(IO_LIMIT)).map_err(|error| error.to_string())?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").map_err(|error| error.to_string())?;
    let mut start = [0; 11];
    stream.read_exact(&mut start).map_err(|error| error.to_string())?;
    // A method frame on channel 0, class 10 (connection), method 10 (start).
    let is_start = start[..3] == [1, 0, 0] && start[7..] == [0, 10, 0, 10];
    if is_start { Ok(()) } else { Err(format!("{address} speaks no AMQP 0-9-1: {start:?}")) }
}

#[cfg(test)]
mod tests {
    use super::{RabbitMq, START_LIMIT, eventually_blocking, greet};

    #[test]
    fn a_quorum_queue_survives_a_kill_of_its_node() {
        let mut node = RabbitMq::private();
        node.ctl(&["eval", DECLARE]);
        node.kill9();
        greet(&node.amqp.address()).expect_err("a killed node answers nobody");
        node.start();
        let queue = || {
            let queues = node.ctl(&["list_queues", "name", "type", "state", "--no-table-headers"]);
            let fields: Vec<_> = queues.split_whitespace().collect();
            if fields == ["kept", "quorum", "running"] { Ok(()) } else { Err(queues) }
        };
        eventually_blocking(START_LIMIT, "the queue has elected its one member", queue);
    }

    const DECLARE: &str = r#"
        Name = rabbit_misc:r(<<"/">>, queue, <<"kept">>),
        Type = [{<<"x-queue-type">>, longstr, <<"quorum">>}],
        {new, _} = rabbit_amqqueue:declare(Name, true, false, Type, none, <<"test">>), ok."#;
}
