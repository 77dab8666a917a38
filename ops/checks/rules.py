"""What the static checks hold the code to. `deny.toml` says the same to cargo-deny where it can: change both."""

# Licences under which anything that is linked or built with may come. One arm of an OR is enough.
LICENCES = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",  # certificate lists: data, not code
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
}

# Crates whose licence is not in the list and is fine for the reason given: name -> (licence, reason).
LICENCE_EXCEPTIONS: dict[str, tuple[str, str]] = {}

REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"

# Crates that one place alone may use, so that replacing what is behind them stays one crate's work. The benchmark measures
# what they can do at most, without the product in between.
ONLY_IN = {
    "sqlx": {"longhaul-store-postgres"},
    "sqlx-core": {"longhaul-store-postgres"},
    "sqlx-postgres": {"longhaul-store-postgres"},
    "rusqlite": {"longhaul-store-sqlite", "longhaul-bench"},
    "lapin": {"longhaul-dispatch", "longhaul-bench"},
    "tokio-postgres": {"longhaul-bench"},
    "ed25519-dalek": {"longhaul-signing"},
    "p256": {"longhaul-signing"},
}

# The one crate whose code may hold `unsafe`, and the most lines that it may have, so that it stays easy to judge.
UNSAFE_IN = "longhaul-os"
UNSAFE_MAX_LINES = 150

# What `longhaul-domain` must not reach, directly or through anything it depends on.
IO_CRATES = {
    "async-io", "async-std", "axum", "hyper", "lapin", "mio", "reqwest", "rusqlite", "smol", "socket2", "sqlx", "tokio",
    "tonic", "tower-http",
}

# Which crates of the workspace a crate may use, layer by layer from the inside. What a layer may use includes what is listed
# for it only: nothing is inherited.
DOMAIN = {"longhaul-domain"}
RUNTIME = {"longhaul-runtime"}
# The only crate with `unsafe`.
OS = {"longhaul-os"}
SEAMS = {"longhaul-store", "longhaul-dispatch", "longhaul-executor", "longhaul-wire"}
BACKENDS = {"longhaul-store-postgres", "longhaul-store-sqlite"}
# Pure: bytes in, signatures out.
SIGNING = {"longhaul-signing"}
SERVICES = {"longhaul-api", "longhaul-worker"}
# The built-in executors: plugins like any other, but that `process` speaks the protocol and settings are theirs.
PLUGINS = {"longhaul-executors"}
# The client that users get: what a server knows of requests, and none of its parts.
CLIENT = {"longhaul-client"}
HARNESS = {"longhaul-tests"}

MAY_USE = {
    "longhaul-domain": set(),
    "longhaul-os": set(),
    "longhaul-runtime": DOMAIN | OS,
    **{crate: DOMAIN | RUNTIME for crate in SEAMS},
    **{crate: DOMAIN | RUNTIME | OS | SEAMS for crate in BACKENDS | SERVICES},
    **{crate: DOMAIN | RUNTIME | OS | {"longhaul-executor", "longhaul-wire"} for crate in PLUGINS},
    # The messages of gRPC, for the nodes that serve it and for tests.
    "longhaul-proto": DOMAIN | {"longhaul-wire"},
    "longhaul-signing": set(),
    "longhaul-client": DOMAIN | RUNTIME | {"longhaul-wire"},
    "longhaul-api": DOMAIN | RUNTIME | SEAMS | SIGNING | {"longhaul-proto"},
    "longhaul-cli": DOMAIN | RUNTIME | OS | SEAMS | BACKENDS | SERVICES | PLUGINS | SIGNING | CLIENT,
    "longhaul-tests": DOMAIN | RUNTIME | SEAMS,
    # Its worker is the command with executors of its own, as users make one.
    "longhaul-chaos": DOMAIN | RUNTIME | {"longhaul-cli", "longhaul-executor"} | HARNESS,
    "longhaul-bench": DOMAIN | RUNTIME | SEAMS | HARNESS,
    # A template: what users depend on, and no more.
    "longhaul-example-agent": {"longhaul-cli", "longhaul-executor"},
}

# Tests of these crates may moreover use a real backend or the harness.
TESTS_MAY_ALSO_USE = {
    **{crate: HARNESS | SEAMS | BACKENDS for crate in SEAMS | BACKENDS | SERVICES},
    "longhaul-runtime": HARNESS,
    "longhaul-cli": HARNESS,
    "longhaul-tests": BACKENDS | SERVICES | {"longhaul-proto"},
}
