#!/usr/bin/env bash
# The load engine: its CPU beside wrk's against one `ceiling` server, its schedule, and 10 000 connections.
# The client has one CPU and the server another; every round runs everything once.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
rounds=${ROUNDS:-10}

# engine NAME ARGUMENT…: one row of the engine against the running server, as "name<TAB>value…".
engine() {
    local name=$1 out
    shift
    out=$(mktemp -d -p "$work")/run
    harness run --url "http://$addr/plaintext" --client-cpus 1 --blocks 1 --quiet --out "$out" "$@" \
        >/dev/null 2>"$work/stderr" || { cat "$work/stderr" >&2; echo "note: $name: the run ended with $?" >&2; }
    columns "$out/cells.csv" server client_cpu_us_per_request throughput_rps response_p50_us lateness_p50_us \
        lateness_p99_us verdict | awk -F'\t' -v name="$name" -v addr="$addr" '
            $1 == addr { printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, $2, $3, $4, $5, $6, $7 }' >>"$work/rows"
}

# wrk: the same for wrk, whose CPU time the shell knows to a millisecond.
wrk_round() {
    local cpu requests
    TIMEFORMAT='%U %S'
    cpu=$({ time taskset -c 1 wrk -t1 -c64 -d3s "http://$addr/plaintext" >"$work/wrk"; } 2>&1)
    requests=$(awk '/requests in/ { print $1 }' "$work/wrk")
    awk -v cpu="$cpu" -v n="$requests" 'BEGIN { split(cpu, t, " ")
        printf "wrk\t%.4f\t%.0f\t\t\t\t\n", (t[1] + t[2]) * 1e6 / n, n / 3 }' >>"$work/rows"
}

serve ceiling -- --workers 1
: >"$work/rows"
for _ in $(seq "$rounds"); do
    if command -v wrk >/dev/null; then wrk_round; fi
    for driver in io_uring epoll; do
        engine "$driver" --strategy closed-loop --concurrency 64 --duration 3s --warmup 0.5s --driver "$driver"
    done
    engine open --strategy open-loop --rate 20000 --duration 3s --warmup 1s
done
stop_server

# field NAME N: the N-th value of the rows of this name.
field() { awk -F'\t' -v name="$1" -v n="$2" '$1 == name { print $n }' "$work/rows"; }

printf 'Client CPU per request, 64 kept connections, closed loop, µs\n'
for name in wrk io_uring epoll; do printf '  %-28s %s\n' "$name" "$(field $name 2 | spread)"; done
if command -v wrk >/dev/null; then
    for goal in "io_uring 0.85" "epoll 1.0"; do
        read -r name most <<<"$goal"
        printf '  %-28s %s\n' "$name / wrk (goal: <= $most)" "$(paste <(field "$name" 2) <(field wrk 2) | awk '{ print $1 / $2 }' | spread)"
    done
else
    echo "  wrk is not installed (Debian package wrk): nothing to compare with"
fi
printf 'Open loop, 20 000/s\n'
printf '  %-28s %s\n' "response p50 µs (<= 150)" "$(field open 4 | spread)"
printf '  %-28s %s\n' "lateness p50 µs (<= 50)" "$(field open 5 | spread)"
printf '  %-28s %s\n' "lateness p99 µs (<= 500)" "$(field open 6 | spread)"
printf '  verdicts: %s\n' "$(field open 7 | sort | uniq -c | tr -s ' \n' ' ')"

: >"$work/many"
for _ in $(seq "$(((rounds + 1) / 2))"); do
    for connections in 100 10000; do
        out=$(mktemp -d -p "$work")/run
        harness run --server ceiling --route plaintext --strategy closed-loop --concurrency "$connections" \
            --duration 3s --warmup 2s --placement split --blocks 1 --quiet --out "$out" >/dev/null || true
        columns "$out/cells.csv" concurrency client_cpu_us_per_request client_peak_rss_bytes | tail -1 | tr '\n' '\t'
    done | awk -F'\t' '{ print $5 / $2, ($6 - $3) / ($4 - $1) / 1024 }' >>"$work/many"
done
printf '10 000 connections from one client process, beside 100\n'
printf '  %-28s %s\n' "CPU per request (<= 1.5)" "$(cut -d' ' -f1 "$work/many" | spread)"
printf '  %-28s %s\n' "KiB each (<= 16)" "$(cut -d' ' -f2 "$work/many" | spread)"
