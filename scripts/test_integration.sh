#!/usr/bin/env bash
# The tests that need valgrind, perf or strace. Installs them where apt-get and root allow it; without them it says so
# and fails. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

missing=()
command -v valgrind >/dev/null || missing+=(valgrind)
command -v strace >/dev/null || missing+=(strace)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: these tests need ${missing[*]}: install them, as in apt-get install ${missing[*]}" >&2
        exit 4
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# One after the other: each has a server in valgrind and a client.
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --package harness --test whole --locked --run-ignored only --test-threads 1
else
    cargo test --package harness --test whole --locked -- --ignored --test-threads 1
fi
