#!/usr/bin/env bash
# The load engine's instructions in user space per request beside wrk's, both against one `ceiling` server.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
if ! command -v valgrind >/dev/null; then
    echo "valgrind is not installed (Debian package valgrind): the client's instructions are not counted"
    exit
fi

# Instructions in user space per request, counted by callgrind: the slope over two lengths of a closed loop. A machine's
# noise does not move it, and one round is enough.
export GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000
callgrind() {
    valgrind --quiet --tool=callgrind --fair-sched=try --trace-children=yes --trace-children-skip='*git,*rustc,*cargo' \
        --callgrind-out-file="$work/profile.%p" "$@" >"$work/counted" 2>&1
}
# instructions PROGRAM: those of the processes whose command line ends so.
instructions() {
    grep -lE "^cmd: .*$1" "$work"/profile.* | xargs --no-run-if-empty awk '/^totals:/ { n += $2 } END { printf "%d", n }'
}
# per_request I1 N1 I2 N2
per_request() { awk -v i="$1" -v n="$2" -v j="$3" -v m="$4" 'BEGIN { printf "%.0f", (j - i) / (m - n) }'; }

count_wrk() {
    local all=() seconds
    for seconds in 1 4; do
        rm -f "$work"/profile.*
        callgrind wrk -t1 -c64 "-d${seconds}s" "http://$addr/plaintext"
        all+=("$(instructions 'wrk ')" "$(awk '/requests in/ { print $1 }' "$work/counted")")
    done
    per_request "${all[@]}"
}
# The run's other client, against its own `ceiling` server, does the same work: the sums have the same slope.
count_engine() {
    local all=() seconds out requests
    for seconds in 1 4; do
        rm -f "$work"/profile.*
        out=$(mktemp -d -p "$work")/run
        # Rows that say how slow the client is are right here.
        callgrind "${CARGO_TARGET_DIR:-$root/target}/release/harness" run --url "http://$addr/plaintext" --blocks 1 \
            --quiet --out "$out" --strategy closed-loop --concurrency 64 --duration "${seconds}s" --warmup 0s \
            --driver "$1" || true
        requests=$(columns "$out/cells.csv" scheduled | awk '{ n += $1 } END { printf "%d", n }')
        if [ "$requests" -eq 0 ]; then
            # Valgrind before 3.20 does not know epoll_pwait2, which the epoll driver waits with.
            echo "not counted: $(grep -o 'the client cannot do that: [^,"]*' "$out/cells.csv" | head -1)"
            return
        fi
        all+=("$(instructions ' client$')" "$requests")
    done
    per_request "${all[@]}"
}

serve ceiling -- --workers 1
printf 'Client instructions per request, 64 kept connections, closed loop\n'
if command -v wrk >/dev/null; then printf '  %-28s %s\n' wrk "$(count_wrk)"; fi
for driver in io_uring epoll; do printf '  %-28s %s\n' "$driver" "$(count_engine $driver)"; done
stop_server
