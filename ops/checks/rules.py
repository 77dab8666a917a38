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
    "sqlx-core": {"longhaul-store-postgres"},
    "sqlx-postgres": {"longhaul-store-postgres"},
    "rusqlite": {"longhaul-store-sqlite", "longhaul-bench"},
    "lapin": {"longhaul-dispatch", "longhaul-dispatch-kit", "longhaul-bench"},
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
# The conformance suite of the stores, and the model of a task.
STORE_KIT = {"longhaul-store-kit"}

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
    "longhaul-store-kit": DOMAIN | RUNTIME | {"longhaul-store"},
    # The conformance suite of the dispatchers.
    "longhaul-dispatch-kit": DOMAIN | RUNTIME | {"longhaul-dispatch"},
    # Its worker is the command with executors of its own, as users make one.
    "longhaul-chaos": DOMAIN | RUNTIME | {"longhaul-cli", "longhaul-executor"} | HARNESS,
    "longhaul-bench": DOMAIN | RUNTIME | SEAMS | HARNESS,
    # The scripted executor depends on what any plugin may, and on the clock for time stamps.
    "longhaul-script": DOMAIN | RUNTIME | {"longhaul-executor"},
    "longhaul-lab": {"longhaul-cli", "longhaul-script"},
    # A template: what users depend on, and no more.
    "longhaul-example-agent": {"longhaul-cli", "longhaul-executor"},
}

# Tests of these crates may moreover use a real backend or the harness.
TESTS_MAY_ALSO_USE = {
    **{crate: HARNESS | SEAMS | BACKENDS for crate in SEAMS | SERVICES},
    **{crate: HARNESS | SEAMS | BACKENDS | STORE_KIT for crate in BACKENDS},
    "longhaul-runtime": HARNESS,
    "longhaul-cli": HARNESS,
    "longhaul-dispatch-kit": HARNESS,
    "longhaul-tests": BACKENDS | SERVICES | {"longhaul-proto"},
}

# How no doc comment begins: it begins with a noun or a verb.
RELATIVE_OPENINGS = {
    "By", "How", "Of", "Those", "What", "Whatever", "When", "Where", "Whether", "Which", "Who", "Whoever", "Whom", "Whose", "Why",
}

# Phrases that no comment has.
BANNED_PHRASES = [
    "any more than that is", "as many as this", "at it", "by what", "for company", "is told by", "nobody .{0,30} any more",
    "of its own accord", "the long way", "whoever",
]

# Names of pictures and of roles in a sentence, and what they are called in this field.
BANNED_NAMES = {
    "Anybody": "the scheme is NoAuth",
    "Bad": "what cannot be read is Invalid",
    "Books": "a worker's claims are HeldRuns",
    "Brought": "a round of claims is a ClaimRound",
    "COMPANY": "say what the constant bounds, and its unit",
    "Crowd": "what limits waiting is a WaitLimiter",
    "Doubt": "lost notifications are MissedSignals",
    "Front": "what dispatches requests is a Dispatcher",
    "Gate": "what handlers share is the AppState",
    "House": "tasks beside the main one are BackgroundTasks",
    "Keeper": "what compares both sides is a Reconciler",
    "Marks": "what is known of a request is its RequestContext",
    "MOST": "say what the constant bounds, and its unit",
    "PATIENCE": "say what the constant bounds, and its unit",
    "Polled": "what follows polls is a PollTracker",
    "Room": "what may be read or held is a budget",
    "Usual": "the write without locks is a FastWrite",
    "Veil": "a store behind a broken network is a PartitionedStore",
    "Weather": "faults that a test makes are Faults",
    "bury": "name the insert",
    "noisily": "name the progress log",
    "patiently": "name the retry",
}

# Names that may stand for three public types or more, in different crates.
SAME_NAME_MAX_TYPES = 7

# Share of lines with a comment of their own, of each crate that has so many lines.
LINE_COMMENTS_MIN_PERCENT = 1.5
LINE_COMMENTS_MIN_LINES = 800
