#!/usr/bin/env bash
# Passes or fails: format, lints, documentation, the tests, and every server against the contract.
# Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

step() { printf '\n== %s\n' "$*"; }

step format
cargo fmt --all --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
step lints
cargo clippy --workspace --all-targets --locked -- -D warnings
step documentation
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
step "scripts"
for script in scripts/*.sh scripts/*/*.sh runtimes/*/*.sh .ci/run; do bash -n "$script"; done
# Before the tests, which then find every server built. The tests' own harness: another build of it takes minutes.
step "every server against the contract"
cargo build --quiet --workspace --all-targets --locked
"${CARGO_TARGET_DIR:-target}/debug/harness" verify
cargo build --quiet --profile server --locked --package rt-oracle
step tests
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --locked
else
    cargo test --workspace --locked
fi
step "all passed"
