//! A slot of the stack for one process after the other, with its port and its proxies to Postgres
//! and RabbitMQ.

use crate::{executor::SCRIPTED_PANIC_MESSAGE, journal::JOURNAL_FOLDER_VAR};
use longhaul_tests::{
    TestProcess, child::ProcessExit, paths, port::Port, process::ProcessBuilder, proxy::Proxy,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex as AsyncMutex, task::block_in_place, time::sleep};

/// Longest time from SIGTERM to the exit of a process.
const EXIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Configuration shared by the processes of a stack.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// Values of `--set`.
    pub settings: Vec<String>,
    /// URL of the database, with `{}` for address and port.
    pub database: String,
    /// URL of the broker, likewise.
    pub broker: String,
    /// Prefix of the queues.
    pub prefix: String,
    /// Folder of the campaign.
    pub folder: PathBuf,
    /// Folder of the journals.
    pub journals: PathBuf,
}

/// The program of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessRole {
    /// `longhaul api`.
    Api,
    /// `longhaul-chaos-worker`, of this crate.
    Worker,
}

/// A slot for one process after the other.
pub struct ProcessSlot {
    /// Name of the slot, as in `worker-0`.
    pub name: String,
    /// Proxy to the database.
    pub to_postgres: Proxy,
    /// Proxy to the broker.
    pub to_broker: Proxy,
    role: ProcessRole,
    port: Port,
    config: ProcessConfig,
    process: AsyncMutex<Option<TestProcess>>,
    /// Unexpected exits, slow exits, and panics.
    problems: Mutex<Vec<String>>,
}

impl ProcessSlot {
    /// A slot without a process.
    pub async fn new(
        name: String,
        role: ProcessRole,
        config: ProcessConfig,
        postgres: &str,
        broker: &str,
    ) -> Self {
        Self {
            name,
            to_postgres: Proxy::before(postgres).await,
            to_broker: Proxy::before(broker).await,
            role,
            port: Port::reserve(),
            config,
            process: AsyncMutex::new(None),
            problems: Mutex::default(),
        }
    }

    /// The base URL, `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Starts a process, unless one runs.
    pub async fn start(&self) {
        let mut process = self.process.lock().await;
        if process.is_none() {
            *process = Some(block_in_place(|| self.launch().start()));
        }
    }

    /// Waits until the process is ready. Panics when it does not become ready in time.
    pub async fn wait_ready(&self) {
        if let Some(process) = &*self.process.lock().await {
            process.wait_ready(&self.base()).await;
        }
    }

    /// The process id, while a process runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(TestProcess::pid)
    }

    /// Kills the process, and starts another one after `down`.
    pub async fn kill(&self, down: Duration) {
        if let Some(process) = self.process.lock().await.take() {
            block_in_place(|| process.kill9());
            self.archive_log(&process);
        }
        sleep(down).await;
        self.start().await;
    }

    /// Freezes the process for `time`.
    pub async fn freeze(&self, time: Duration) {
        let process = self.process.lock().await;
        if let Some(process) = &*process {
            block_in_place(|| process.sigstop());
            sleep(time).await;
            process.sigcont();
        }
    }

    /// Terminates the process, waits for its exit, and starts another one.
    pub async fn terminate(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.sigterm();
            match wait_exit(&process, EXIT_TIMEOUT).await {
                Some(ProcessExit::Code(0)) => {}
                Some(exit) => {
                    self.record_problem(format!(
                        "{}: ended with {exit:?} after SIGTERM",
                        self.name
                    ));
                }
                None => {
                    self.record_problem(format!(
                        "{}: still ran {EXIT_TIMEOUT:?} after SIGTERM",
                        self.name
                    ));
                    block_in_place(|| process.kill9());
                }
            }
            self.archive_log(&process);
        }
        self.start().await;
    }

    /// Starts another process when the last one has exited by itself, which is recorded as a
    /// problem.
    pub fn restart_if_dead(&self) {
        let Ok(mut process) = self.process.try_lock() else { return };
        if process.as_ref().is_some_and(|process| !process.is_running()) {
            let Some(dead) = process.take() else { return };
            let tail = last_lines(&dead.stderr());
            self.record_problem(format!("{} ended by itself; its last lines: {tail}", self.name));
            self.archive_log(&dead);
            *process = Some(block_in_place(|| self.launch().start()));
        }
    }

    /// Terminates the process for good; returns the problems of this slot.
    pub async fn close(&self) -> Vec<String> {
        if let Some(process) = self.process.lock().await.take() {
            process.sigterm();
            if wait_exit(&process, EXIT_TIMEOUT).await.is_none() {
                self.record_problem(format!(
                    "{}: still ran {EXIT_TIMEOUT:?} after SIGTERM",
                    self.name
                ));
                block_in_place(|| process.kill9());
            }
            self.archive_log(&process);
        }
        std::mem::take(&mut *self.problems())
    }

    /// Writes the log of a process to the campaign's folder, and records its panics.
    fn archive_log(&self, process: &TestProcess) {
        let log = process.stderr();
        let path = self.config.folder.join(format!("{}-{}.log", self.name, process.pid()));
        // A missing log must not end the campaign.
        let _ = fs::write(path, &log);
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        for line in panics
            .filter(|line| !line.contains("tests/chaos") && !line.contains(SCRIPTED_PANIC_MESSAGE))
        {
            self.record_problem(format!("{}: {line}", self.name));
        }
    }

    fn launch(&self) -> ProcessBuilder {
        let mut arguments = vec!["--listen".to_owned(), self.port.address()];
        arguments.extend([
            "--config".to_owned(),
            self.config.folder.join("longhaul.toml").display().to_string(),
        ]);
        for setting in &self.config.settings {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let program = match self.role {
            ProcessRole::Api => {
                arguments.splice(0..0, ["api", "--auth", "none"].map(str::to_owned));
                "longhaul"
            }
            ProcessRole::Worker => "longhaul-chaos-worker",
        };
        let through = |url: &str, proxy: &Proxy| url.replace("{}", &proxy.address());
        ProcessBuilder::program(paths::binary(program), arguments)
            .current_dir(&self.config.folder)
            .env("LONGHAUL_DATABASE_URL", through(&self.config.database, &self.to_postgres))
            .env("LONGHAUL_AMQP_URL", through(&self.config.broker, &self.to_broker))
            .env("LONGHAUL_AMQP_PREFIX", &self.config.prefix)
            .env(JOURNAL_FOLDER_VAR, &self.config.journals)
    }

    fn record_problem(&self, what: String) {
        self.problems().push(what);
    }

    fn problems(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.problems.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn wait_exit(process: &TestProcess, limit: Duration) -> Option<ProcessExit> {
    let started = Instant::now();
    while process.is_running() {
        if started.elapsed() > limit {
            return None;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Some(process.wait_exit(Duration::from_secs(1)))
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// The folder of the journals in a campaign's folder.
pub fn journals(folder: &Path) -> PathBuf {
    folder.join("journals")
}
