# What the benches share. Sourced, with `set -euo pipefail`.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
server_pid=
cleanup() {
    if [ -n "$server_pid" ]; then kill "$server_pid" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package harness
harness() { cargo run --quiet --release --locked --manifest-path "$root/Cargo.toml" --package harness -- "$@"; }

# columns FILE NAME…: the named columns of a CSV file, separated by tabs.
columns() {
    python3 -c '
import csv, sys
for row in csv.DictReader(open(sys.argv[1])):
    print(*(row[name] for name in sys.argv[2:]), sep="\t")' "$@"
}

# spread: the median of the numbers on stdin, and their range.
spread() {
    sort -n | awk '{ v[NR] = $1 } END {
        if (NR == 0) { print "nothing was measured"; exit }
        m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        printf "%.3g [%.3g–%.3g] over %d rounds\n", m, v[1], v[NR], NR }'
}

# serve NAME ARGUMENT…: starts a server on the first CPU, and sets server_pid and addr.
serve() {
    local name=$1
    shift
    : >"$work/ready"
    # Becomes the server: its pid is the server's.
    taskset -c 0 "${CARGO_TARGET_DIR:-$root/target}/release/harness" serve --server "$name" "$@" >"$work/ready" &
    server_pid=$!
    until [ -s "$work/ready" ]; do
        kill -0 "$server_pid" || { echo "error: $name did not start" >&2; exit 4; }
        sleep 0.05
    done
    addr=$(sed 's/.*"addr":"\([^"]*\)".*/\1/' "$work/ready")
}

stop_server() {
    kill "$server_pid"
    wait "$server_pid" || true
    server_pid=
}
