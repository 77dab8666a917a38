//! SDK programs, as installed by `tests/prepare` and `tests/run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::paths;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use serde_json::Value;

/// Longest time for all scenarios together; each has a shorter limit of its own and reports it.
const SCENARIOS_TIMEOUT: Duration = Duration::from_secs(240);

/// Scenarios of every client. 0.3 lacks the last one, older versions the last two.
const SCENARIOS: [&str; 13] = [
    "card",
    "send",
    "stream",
    "turns",
    "get",
    "cancel",
    "resubscribe",
    "files",
    "data",
    "errors",
    "push",
    "extended",
    "list",
];

/// Scenarios on stream format, for all clients but the Rust one: silence for several keep-alives,
/// and texts full of line separators.
const STREAM_FORMAT: [&str; 2] = ["silence", "separators"];

/// A binding of A2A, by its name in cards.
#[derive(Debug, Clone, Copy)]
pub enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

impl Binding {
    fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

/// A client program.
pub struct Program {
    executable: PathBuf,
    /// Arguments that come before all others.
    leading: Vec<PathBuf>,
    protocol: Option<&'static str>,
    scenarios: Vec<&'static str>,
}

impl Program {
    /// `a2a-sdk` 1.x for Python; with `0.3`, its compatibility layer for agents of that version.
    pub fn python_1(protocol: &'static str) -> Self {
        let program = Self::new(paths::python(), &[interop_file("python/sdk_1.py")]);
        program.speaking(protocol)
    }

    /// `a2a-sdk` 1.0.x for Python, the first line of 1.x.
    pub fn python_1_0() -> Self {
        Self::new(paths::prepared("test-venv-1.0/bin/python"), &[interop_file("python/sdk_1.py")])
    }

    /// `a2a-sdk` 0.3.x for Python, in this environment.
    pub fn python_0_3(environment: &str) -> Self {
        let python = paths::prepared(&format!("{environment}/bin/python"));
        Self::new(python, &[interop_file("python/sdk_0_3.py")]).without(1)
    }

    /// `a2a-sdk` 0.2.x for Python.
    pub fn python_0_2() -> Self {
        let python = paths::prepared("test-venv-0.2/bin/python");
        Self::new(python, &[interop_file("python/sdk_0_2.py")]).without(2)
    }

    /// A client like those of the first public version.
    pub fn demo_0_1() -> Self {
        Self::new(paths::python(), &[interop_file("python/demo_0_1.py")]).without(2)
    }

    /// `@a2a-js/sdk` 1.x; with `0.3`, its compatibility layer for agents of that version.
    pub fn javascript_1(protocol: &'static str) -> Self {
        let leading = [interop_file("js/sdk_1.mjs"), paths::prepared("test-js/1")];
        Self::new(paths::prepared("test-js/node"), &leading).speaking(protocol)
    }

    /// `@a2a-js/sdk` 0.3.x.
    pub fn javascript_0_3() -> Self {
        let leading = [interop_file("js/sdk_0_3.mjs"), paths::prepared("test-js/0.3")];
        Self::new(paths::prepared("test-js/node"), &leading).without(1)
    }

    /// `@a2a-js/sdk` 0.2.x.
    pub fn javascript_0_2() -> Self {
        let leading = [interop_file("js/sdk_0_2.mjs"), paths::prepared("test-js/0.2")];
        Self::new(paths::prepared("test-js/node"), &leading).without(2)
    }

    /// `a2a-client-lf` and `a2a-grpc`.
    pub fn rust() -> Self {
        let program = Self::new(paths::prepared("interop-rust/debug/longhaul-interop"), &[]);
        Self { scenarios: SCENARIOS.to_vec(), ..program }
    }

    fn new(executable: PathBuf, leading: &[PathBuf]) -> Self {
        let scenarios = [&STREAM_FORMAT[..], &SCENARIOS].concat();
        Self { executable, leading: leading.to_vec(), protocol: None, scenarios }
    }

    fn speaking(self, protocol: &'static str) -> Self {
        let program = Self { protocol: Some(protocol), ..self };
        if protocol == "1.0" { program } else { program.without(1) }
    }

    /// Leaves out the last scenarios, which older versions do not support.
    fn without(mut self, last: usize) -> Self {
        self.scenarios.truncate(self.scenarios.len() - last);
        self
    }

    /// Starts the program: all its scenarios in order against the first of these servers; after a
    /// lost connection, it reconnects to the next.
    pub fn start(&self, bases: &[&str], binding: Binding, key: Option<&str>) -> Running {
        let mut arguments: Vec<String> =
            self.leading.iter().map(|path| path.display().to_string()).collect();
        arguments.extend([bases.join(","), binding.name().to_owned()]);
        arguments.extend(self.scenarios.iter().map(|&scenario| scenario.to_owned()));
        let options = [("--protocol", self.protocol), ("--key", key)];
        for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
        let launch = ProcessBuilder::program(&self.executable, arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Running { process: launch.start(), scenarios: self.scenarios.clone() }
    }
}

/// A file under `tests/interop`.
fn interop_file(name: &str) -> PathBuf {
    let folder: &Path = Path::new("tests/interop");
    paths::workspace().join(folder).join(name)
}

/// A running client program.
pub struct Running {
    process: TestProcess,
    scenarios: Vec<&'static str>,
}

impl Running {
    /// Panics with the program's output when a promise is broken.
    pub fn assert_all_passed(&self) {
        let exit = self.process.wait_exit(SCENARIOS_TIMEOUT);
        let said = self.process.stdout();
        assert_eq!(exit, ProcessExit::Code(0), "{said}\n{}", self.process.stderr());
        let name = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            line["scenario"].as_str().map(str::to_owned)
        };
        let passed: Vec<String> = said.lines().filter_map(name).collect();
        assert_eq!(passed, self.scenarios);
    }
}
