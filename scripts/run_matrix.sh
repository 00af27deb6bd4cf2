#!/usr/bin/env bash
# Runs the matrix: builds the harness, which builds each server alone, verifies it, measures, and names
# the files it wrote. Arguments go to the harness (scripts/run_matrix.sh --server smol --blocks 5).
# Works from any directory.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
if ! command -v cargo >/dev/null; then
    echo "error: cargo is missing: install Rust, see https://rustup.rs" >&2
    exit 2
fi
exec cargo run --quiet --release --locked --manifest-path "$root/Cargo.toml" --package harness -- run "$@"
