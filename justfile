# What people do here, by name. `just` alone lists it.

_default:
    @just --list

# Everything in one process on 127.0.0.1:8080, data in ./longhaul-data
dev *flags:
    cargo run --package longhaul-cli --bin longhaul -- dev {{flags}}

build:
    cargo build --workspace --bins

# Arguments go to the test runner: just test -p longhaul-store
test *arguments:
    ./tests/run {{arguments}}

# What every change must pass: format, lints, static checks, tests
ci:
    ./.ci/run

# The fast loop: format, lints and static checks, no servers
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    ./ops/checks/run

# The crates' documentation; a broken link is an error
doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    ./ops/checks/run

# Brings the database in LONGHAUL_DATABASE_URL to the schema of this version
migrate *flags:
    cargo run --package longhaul-cli --bin longhaul -- migrate {{flags}}

# Starts a stack of its own, measures it, and stops it
bench *arguments:
    ./tests/bench/run {{arguments}}

# Postgres, RabbitMQ, two API nodes, workers and the load balancer in containers
up workers="1":
    docker compose up --build --detach --wait --scale worker={{workers}}

down:
    docker compose down
