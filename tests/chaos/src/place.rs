//! One process of the stack: its port, its own way to Postgres and to RabbitMQ, and what became of it.

use crate::{executor::ORDERED_PANIC, journal::FOLDER};
use longhaul_tests::{Longhaul, child::Exit, paths, port::Port, process::Launch, proxy::Proxy};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex as AsyncMutex, task::block_in_place, time::sleep};

/// How long a process may take from SIGTERM to its end, beyond what its settings say.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What the processes of a stack have in common.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// `--set` of every process.
    pub settings: Vec<String>,
    /// The database, with `{}` for address and port.
    pub database: String,
    /// The broker, likewise.
    pub broker: String,
    /// What our queues begin with.
    pub prefix: String,
    /// Where everything is that the run writes.
    pub folder: PathBuf,
    /// Where journals are.
    pub journals: PathBuf,
}

/// Which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `longhaul api`.
    Api,
    /// The worker of this crate.
    Worker,
}

/// A place where one process after the other runs.
pub struct Place {
    /// For people.
    pub name: String,
    /// The way to the database.
    pub to_postgres: Proxy,
    /// The way to the broker.
    pub to_broker: Proxy,
    role: Role,
    port: Port,
    recipe: Recipe,
    process: AsyncMutex<Option<Longhaul>>,
    /// Ends that nobody had asked for, panics, and ends that took too long.
    wrong: Mutex<Vec<String>>,
}

impl Place {
    /// A place without a process.
    pub async fn new(
        name: String,
        role: Role,
        recipe: Recipe,
        postgres: &str,
        broker: &str,
    ) -> Self {
        Self {
            name,
            to_postgres: Proxy::before(postgres).await,
            to_broker: Proxy::before(broker).await,
            role,
            port: Port::reserve(),
            recipe,
            process: AsyncMutex::new(None),
            wrong: Mutex::default(),
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Starts a process where none is.
    pub async fn start(&self) {
        let mut process = self.process.lock().await;
        if process.is_none() {
            *process = Some(block_in_place(|| self.launch().start()));
        }
    }

    /// Waits until the process is ready; panics when it does not become so.
    pub async fn wait_ready(&self) {
        if let Some(process) = &*self.process.lock().await {
            process.wait_ready(&self.base()).await;
        }
    }

    /// The process id; none while nothing runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(Longhaul::pid)
    }

    /// Kills the process, and starts another one after a while.
    pub async fn kill(&self, down: Duration) {
        if let Some(process) = self.process.lock().await.take() {
            block_in_place(|| process.kill9());
            self.bury(&process);
        }
        sleep(down).await;
        self.start().await;
    }

    /// Freezes the process for a while.
    pub async fn freeze(&self, time: Duration) {
        let process = self.process.lock().await;
        if let Some(process) = &*process {
            block_in_place(|| process.sigstop());
            sleep(time).await;
            process.sigcont();
        }
    }

    /// Asks the process to end, waits for that, and starts another one.
    pub async fn terminate(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.sigterm();
            match ended(&process, END_LIMIT).await {
                Some(Exit::Code(0)) => {}
                Some(exit) => {
                    self.wrong(format!("{}: ended with {exit:?} after SIGTERM", self.name));
                }
                None => {
                    self.wrong(format!("{}: still ran {END_LIMIT:?} after SIGTERM", self.name));
                    block_in_place(|| process.kill9());
                }
            }
            self.bury(&process);
        }
        self.start().await;
    }

    /// Starts another process when the last one has ended by itself, which is wrong.
    pub fn look_after(&self) {
        let Ok(mut process) = self.process.try_lock() else { return };
        if process.as_ref().is_some_and(|process| !process.is_running()) {
            let Some(dead) = process.take() else { return };
            let last = tail(&dead.stderr());
            self.wrong(format!("{} ended by itself; its last words: {last}", self.name));
            self.bury(&dead);
            *process = Some(block_in_place(|| self.launch().start()));
        }
    }

    /// Ends the process for good, and gives everything that went wrong here.
    pub async fn close(&self) -> Vec<String> {
        if let Some(process) = self.process.lock().await.take() {
            process.sigterm();
            if ended(&process, END_LIMIT).await.is_none() {
                self.wrong(format!("{}: still ran {END_LIMIT:?} after SIGTERM", self.name));
                block_in_place(|| process.kill9());
            }
            self.bury(&process);
        }
        std::mem::take(&mut *self.wrongs())
    }

    /// Keeps what a process has logged, and looks for panics in it.
    fn bury(&self, process: &Longhaul) {
        let log = process.stderr();
        let path = self.recipe.folder.join(format!("{}-{}.log", self.name, process.pid()));
        // A log is of use, and its lack is no reason to stop.
        let _ = fs::write(path, &log);
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        for line in
            panics.filter(|line| !line.contains("tests/chaos") && !line.contains(ORDERED_PANIC))
        {
            self.wrong(format!("{}: {line}", self.name));
        }
    }

    fn launch(&self) -> Launch {
        let mut arguments = vec!["--listen".to_owned(), self.port.address()];
        arguments.extend([
            "--config".to_owned(),
            self.recipe.folder.join("longhaul.toml").display().to_string(),
        ]);
        for setting in &self.recipe.settings {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let program = match self.role {
            Role::Api => {
                arguments.splice(0..0, ["api", "--auth", "none"].map(str::to_owned));
                "longhaul"
            }
            Role::Worker => "longhaul-chaos-worker",
        };
        let through = |url: &str, proxy: &Proxy| url.replace("{}", &proxy.address());
        Launch::program(paths::binary(program), arguments)
            .current_dir(&self.recipe.folder)
            .env("LONGHAUL_DATABASE_URL", through(&self.recipe.database, &self.to_postgres))
            .env("LONGHAUL_AMQP_URL", through(&self.recipe.broker, &self.to_broker))
            .env("LONGHAUL_AMQP_PREFIX", &self.recipe.prefix)
            .env(FOLDER, &self.recipe.journals)
    }

    fn wrong(&self, what: String) {
        self.wrongs().push(what);
    }

    fn wrongs(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn ended(process: &Longhaul, limit: Duration) -> Option<Exit> {
    let begun = Instant::now();
    while process.is_running() {
        if begun.elapsed() > limit {
            return None;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Some(process.wait_exit(Duration::from_secs(1)))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// The folder of the journals in a run's folder.
pub fn journals(folder: &Path) -> PathBuf {
    folder.join("journals")
}
