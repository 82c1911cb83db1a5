# The commands of every day. `just` lists them; each is one line that also works without just.

export RUSTDOCFLAGS := "-D warnings"

_default:
    @just --list

# Compile everything, tests too.
check:
    cargo check --workspace --all-targets --locked

# All tests; with cargo-nextest when it is there.
test *args:
    if command -v cargo-nextest > /dev/null; then cargo nextest run --workspace {{args}}; else cargo test --workspace {{args}}; fi

# Tests of one crate: just crate store.
crate name *args:
    cargo test -p bailiwick-{{name}} {{args}}

# What a reviewer would complain about.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo doc --workspace --no-deps --document-private-items --locked --quiet
    cargo deny --log-level error check

# Put the layout right.
fmt:
    cargo fmt --all

# Write docs/reference anew, from what the program says.
reference:
    cargo build
    mkdir -p docs/reference
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema manifest > docs/reference/manifest.schema.json
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema config > docs/reference/bailiwick.schema.json
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema manifest --markdown > docs/reference/manifest.md
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema config --markdown > docs/reference/configuration.md
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema modules > docs/reference/modules.md
    "${CARGO_TARGET_DIR:-target}/debug/bailiwick" schema openapi > docs/reference/openapi.json

# The demonstration, once.
demo:
    cargo run --release -- demo --once

# Against published clients and servers: just interop clients.
interop *parts:
    interop/run.sh {{parts}}

# What a governed call costs: just bench --cpu 1.
bench *args:
    cargo run --release -p bailiwick-bench -- {{args}}

# Every fuzz target, so many seconds each: just fuzz 120. Needs cargo-fuzz.
fuzz *seconds:
    fuzz/run.sh {{seconds}}

# Gates of the performance reference; the harness's folder is the argument.
gates harness="../shared/bench" *args:
    cargo build --release --locked
    BAILIWICK="${CARGO_TARGET_DIR:-target}/release/bailiwick" benches/gates.py {{harness}} {{args}}

# Everything a change must pass.
ci:
    .ci/run
