#!/usr/bin/env bash
# The tests that take minutes, or need valgrind, perf, strace, a browser, cargo-fuzz, or programs that read our files: these are
# installed where apt-get and root allow it; without them it says so and fails. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

missing=()
command -v valgrind >/dev/null || missing+=(valgrind)
command -v strace >/dev/null || missing+=(strace)
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
# Debian's selenium is Debian's python's.
python=python3
"$python" -c 'import selenium' 2>/dev/null || python=/usr/bin/python3
"$python" -c 'import selenium' 2>/dev/null || missing+=(python3-selenium)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: these tests need ${missing[*]}: install them, as in apt-get install ${missing[*]}" >&2
        exit 4
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# One after the other: each has a server in valgrind and a client. The whole workspace, as in scripts/test.sh: of one
# package alone cargo would choose other features, and build every dependency again.
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --test whole --test documents --locked --run-ignored only --test-threads 1
else
    cargo test --workspace --test whole --test documents --locked -- --ignored --test-threads 1
fi

# Every server, also those that run only where they are named, and one built with another version of its runtime.
# A runtime whose kernel interface is denied here says so, and is no failure.
verified=$(cargo run --quiet --release --locked --package harness -- verify --server 'all,smol@2.0.1') || true
echo "$verified"
echo "$verified" | awk '
    /: (ok|not told)$/ { ok++ }
    /: FAILED$/ { name = $0; getline; if ($0 !~ /io_uring|locked memory/) { print name; bad++ } }
    END { exit bad > 0 || ok < 20 }'

# The article's server, where runtimes/fastapi/setup.sh has been.
if [ -x runtimes/fastapi/.venv/bin/python ]; then
    runtimes/fastapi/.venv/bin/python runtimes/fastapi/test_fastapi.py
fi

# report.html, as a reader opens it. The tests above built this harness.
"$python" scripts/test_page.py target/debug/harness results/20261128T211450Z-vm-full

# Over two hosts, by ssh and by Slurm: where network namespaces can be made. 4: what it needs is not there and cannot be installed.
PROFILE=debug scripts/two_hosts.sh || [ $? -eq 4 ]
PROFILE=debug scripts/slurm.sh || [ $? -eq 4 ]

# What others see in our files.
scripts/readers/test.sh

# A minute of fuzzing in all. 4: cargo-fuzz is not there and cannot be installed.
scripts/fuzz.sh 6s || [ $? -eq 4 ]

# One file that runs on any Linux: where its target is there (rustup target add x86_64-unknown-linux-musl).
target=x86_64-unknown-linux-musl
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    echo "note: no static harness is built: $target is not installed"
    exit 0
fi
cargo build --quiet --release --locked --package harness --target "$target"
cargo build --quiet --release --locked --package harness
built=$(cargo metadata --no-deps --format-version=1 --locked --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
folder=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; fi; rm -rf "$folder"' EXIT
cp "$built/$target/release/harness" "$folder/"
"$built/release/harness" serve --server ceiling >"$folder/ready" &
server=$!
until [ -s "$folder/ready" ]; do
    kill -0 "$server"
    sleep 0.1
done
addr=$(sed -E 's/.*"addr":"([^"]*)".*/\1/' "$folder/ready")
(cd "$folder" && ./harness --url "http://$addr/plaintext" --strategy closed-loop --duration 500ms --blocks 1 --quiet)
echo "the static harness measured a server by its URL"
