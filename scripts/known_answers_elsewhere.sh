#!/usr/bin/env bash
# What wrk, wrk2 and oha report of servers whose answers are known: the cases of `harness selftest` that they can
# express. Prints a Markdown table, and nothing is judged. Works from any directory; takes about two minutes for each
# tool.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

seconds=${KNOWN_ANSWERS_SECONDS:-10}
cargo build --quiet --profile server --locked --package rt-oracle
target=$(cargo metadata --no-deps --format-version=1 --locked --offline | python3 -c '
import json, sys
print(json.load(sys.stdin)["target_directory"])')
folder=$(mktemp -d)
oracle=
stop() {
    if [ -n "$oracle" ]; then kill "$oracle" 2>/dev/null || true; wait "$oracle" 2>/dev/null || true; fi
    oracle=
}
trap 'stop; rm -rf "$folder"' EXIT

# The server on the first CPU and the client on the last, as the harness places them.
last=$(($(nproc) - 1))
url=
serve() {
    stop
    taskset -c 0 "$target/server/rt-oracle" "$@" >"$folder/ready" &
    oracle=$!
    for _ in $(seq 200); do [ -s "$folder/ready" ] && break; sleep 0.02; done
    url=http://$(python3 -c 'import json, sys; print(json.load(sys.stdin)["addr"])' <"$folder/ready")/plaintext
}

row() { printf '| %s | %s | %s | %s | %s |\n' "$@"; }
on_client() { taskset -c "$last" "$@"; }

# Their reports as one line: "X/s, mean M, p50 A, p99 B, max C".
of_wrk() {
    python3 -c '
import re, sys
text = sys.stdin.read()
def find(pattern, group=1):
    match = re.search(pattern, text, re.M)
    return match[group] if match else "?"
latency = r"^\s+Latency\s+(\S+)\s+(\S+)\s+(\S+)"
print("{}/s, mean {}, p50 {}, p99 {}, max {}".format(
    find(r"Requests/sec:\s+(\S+)"), find(latency), find(r"^\s+50(?:\.000)?%\s+(\S+)"),
    find(r"^\s+99(?:\.000)?%\s+(\S+)"), find(latency, 3)))'
}
of_oha() {
    python3 -c '
import json, sys
report = json.load(sys.stdin)
summary, at = report["summary"], report["latencyPercentiles"]
ms = lambda seconds: "?" if seconds is None else "{:.2f}ms".format(seconds * 1e3)
print("{:.1f}/s, mean {}, p50 {}, p99 {}, max {}".format(
    summary["requestsPerSec"], ms(summary["average"]), ms(at.get("p50")), ms(at.get("p99")), ms(summary["slowest"])))'
}

wrk_closed() { on_client wrk --latency -t1 "-c$1" "-d${seconds}s" "$url" | of_wrk; }
wrk2_open() { on_client wrk2 --latency -t1 "-c$2" "-d${seconds}s" "-R$1" "$url" | of_wrk; }
oha_closed() { on_client oha --no-tui --output-format json -c "$1" -z "${seconds}s" "$url" | of_oha; }
# Without the correction oha has no intended start at all.
oha_open() {
    on_client oha --no-tui --output-format json -c "$2" -z "${seconds}s" -q "$1" --latency-correction "$url" | of_oha
}

k1="80/s, mean 200 ms, p50 200 ms"
k1b="40/s, mean 50 ms, p50 50 ms"
k2="p50 20 ms (constant gaps: none of the three has Poisson arrivals)"
k3="p50 2 ms (constant gaps and constant service never wait)"
k4="open: p95 500 ms, p99 900 ms, mean 50 ms"
k5="500/s, p50 1 s, p99 1.98 s, max 2 s (undrained: max 1.67 s)"

closed() {
    local tool=$1
    serve --service constant:50ms --servers 4
    row "$tool" K1 "16 connections, closed loop" "$k1" "$("${tool}_closed" 16)"
    row "$tool" K1 "2 connections, closed loop" "$k1b" "$("${tool}_closed" 2)"
    serve --stall 1s/10s@4.505s
    row "$tool" K4 "1 connection, closed loop" "p99 < 1 ms of the requests that were sent: one meets the stall" "$("${tool}_closed" 1)"
}
open() {
    local tool=$1
    serve --service constant:20ms --servers inf
    row "$tool" K2 "500/s, 256 connections" "$k2" "$("${tool}_open" 500 256)"
    serve --service constant:2ms
    row "$tool" K3 "250/s, 256 connections" "$k3" "$("${tool}_open" 250 256)"
    serve --stall 1s/10s@4.505s
    row "$tool" K4 "100/s, 256 connections" "$k4" "$("${tool}_open" 100 256)"
    serve --service constant:2ms
    row "$tool" K5 "600/s into 500/s, 64 connections" "$k5" "$("${tool}_open" 600 64)"
}

row tool case load expected reported
row --- --- --- --- ---
if command -v wrk >/dev/null; then closed wrk; else row wrk - - - "not installed"; fi
if command -v wrk2 >/dev/null; then open wrk2; else row wrk2 - - - "not installed"; fi
if command -v oha >/dev/null; then closed oha; open oha; else row oha - - - "not installed"; fi
