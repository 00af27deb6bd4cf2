#!/usr/bin/env bash
# Makes what is measured in README.md anew, from committed runs: its findings, its table and its pictures.
# Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

full=results/20261128T004649Z-vm-full
quick=results/20261128T044345Z-vm-quick
count=results/20261128T023941Z-vm-count
harness() { cargo run --quiet --release --locked --package harness -- "$@"; }

harness report "$full" --map docs/pictures/map
harness report "$full" --findings --splice README.md#findings
harness report "$quick" --splice README.md#quick
harness report "$count" --instructions docs/pictures/instructions
