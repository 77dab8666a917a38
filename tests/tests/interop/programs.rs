//! The programs with the SDKs, as `tests/prepare` and `tests/run` provide them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul_tests::child::Exit;
use longhaul_tests::paths;
use longhaul_tests::process::{Launch, Longhaul};
use serde_json::Value;

/// For all scenarios together; each of them has a limit of its own and says when it is reached.
const LIMIT: Duration = Duration::from_secs(240);

/// What 0.3 cannot do stands last, what 0.1 cannot do before it.
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

/// Scenarios about how streams are written, of every client but the one in Rust: silence for several keep-alives, and texts full
/// of what separates lines.
const STREAM_FORMAT: [&str; 2] = ["silence", "separators"];

/// A binding of A2A, by the name that cards give it.
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
    /// What it is given before everything else.
    leading: Vec<PathBuf>,
    protocol: Option<&'static str>,
    scenarios: Vec<&'static str>,
}

impl Program {
    /// `a2a-sdk` 1.x for Python; with `0.3` what it has for agents of that version.
    pub fn python_1(protocol: &'static str) -> Self {
        let program = Self::new(paths::python(), &[sources("python/sdk_1.py")]);
        program.speaking(protocol)
    }

    /// `a2a-sdk` 1.0.x for Python, the first line of 1.x.
    pub fn python_1_0() -> Self {
        Self::new(paths::prepared("test-venv-1.0/bin/python"), &[sources("python/sdk_1.py")])
    }

    /// `a2a-sdk` 0.3.x for Python, in this environment.
    pub fn python_0_3(environment: &str) -> Self {
        let python = paths::prepared(&format!("{environment}/bin/python"));
        Self::new(python, &[sources("python/sdk_0_3.py")]).without(1)
    }

    /// `a2a-sdk` 0.2.x for Python.
    pub fn python_0_2() -> Self {
        let python = paths::prepared("test-venv-0.2/bin/python");
        Self::new(python, &[sources("python/sdk_0_2.py")]).without(2)
    }

    /// A client as those of the first public version.
    pub fn demo_0_1() -> Self {
        Self::new(paths::python(), &[sources("python/demo_0_1.py")]).without(2)
    }

    /// `@a2a-js/sdk` 1.x; with `0.3` what it has for agents of that version.
    pub fn javascript_1(protocol: &'static str) -> Self {
        let leading = [sources("js/sdk_1.mjs"), paths::prepared("test-js/1")];
        Self::new(paths::prepared("test-js/node"), &leading).speaking(protocol)
    }

    /// `@a2a-js/sdk` 0.3.x.
    pub fn javascript_0_3() -> Self {
        let leading = [sources("js/sdk_0_3.mjs"), paths::prepared("test-js/0.3")];
        Self::new(paths::prepared("test-js/node"), &leading).without(1)
    }

    /// `@a2a-js/sdk` 0.2.x.
    pub fn javascript_0_2() -> Self {
        let leading = [sources("js/sdk_0_2.mjs"), paths::prepared("test-js/0.2")];
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

    /// Clients of versions that know nothing of the last scenarios.
    fn without(mut self, last: usize) -> Self {
        self.scenarios.truncate(self.scenarios.len() - last);
        self
    }

    /// Starts it: every scenario it can do, one after the other, against the first of these servers, and where it lost the
    /// connection against the next.
    pub fn start(&self, bases: &[&str], binding: Binding, key: Option<&str>) -> Running {
        let mut arguments: Vec<String> =
            self.leading.iter().map(|path| path.display().to_string()).collect();
        arguments.extend([bases.join(","), binding.name().to_owned()]);
        arguments.extend(self.scenarios.iter().map(|&scenario| scenario.to_owned()));
        let options = [("--protocol", self.protocol), ("--key", key)];
        for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
        let launch =
            Launch::program(&self.executable, arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        Running { process: launch.start(), scenarios: self.scenarios.clone() }
    }
}

/// A file under `tests/interop`.
fn sources(name: &str) -> PathBuf {
    let folder: &Path = Path::new("tests/interop");
    paths::workspace().join(folder).join(name)
}

/// A client program at work.
pub struct Running {
    process: Longhaul,
    scenarios: Vec<&'static str>,
}

impl Running {
    /// Panics with what the program said when it found a promise broken.
    pub fn assert_all_passed(&self) {
        let exit = self.process.wait_exit(LIMIT);
        let said = self.process.stdout();
        assert_eq!(exit, Exit::Code(0), "{said}\n{}", self.process.stderr());
        let name = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            line["scenario"].as_str().map(str::to_owned)
        };
        let passed: Vec<String> = said.lines().filter_map(name).collect();
        assert_eq!(passed, self.scenarios);
    }
}
