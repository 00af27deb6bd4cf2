#!/usr/bin/env bash
# Every server built on the contract: throughput, memory, and the time between replicates.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# An interval takes six.
blocks=${BLOCKS:-6}
if [ $# -gt 0 ]; then
    servers=$(IFS=,; echo "$*")
else
    servers=async-std,may,may-minihttp,smol,threads,tokio-current,tokio-multi
fi

# steady TITLE GOAL ROUTE STRATEGY REQUESTS CONCURRENCY: requests per second of every server.
steady() {
    local title=$1 goal=$2 out=$work/$3-$4-$5
    harness run --server "$servers" --route "$3" --strategy "$4" --requests "$5" --concurrency "$6" \
        --processes 1 --blocks "$blocks" --quiet --out "$out" >/dev/null || echo "some rows have an error"
    printf '\n%s (goal: %s), %s blocks\n' "$title" "$goal" "$blocks"
    printf '%-14s %10s %10s %10s %8s %10s\n' server median low high ceiling "peak MiB"
    columns "$out/summary.csv" server throughput_rps throughput_rps_low throughput_rps_high \
        ceiling_rps server_peak_rss_bytes |
        awk -F'\t' '$5 > 0 { printf "%-14s %10.0f %10.0f %10.0f %7.0f%% %10.1f\n", $1, $2, $3, $4, 100 * $2 / $5, $6 / 1048576 }'
}

steady "/asyncwait, 1000 kept connections" "at least 17000/s on every row; at most 64 MiB" asyncwait async 60000 1000
steady "/wait, 1000 kept connections" "at least 9216/s, 90% of 512 threads / 0.05 s; at most 64 MiB" wait async 30000 1000
steady "/asyncwait, 1000 thread-pool requests at once" "at least 4000/s" asyncwait thread-pool 1000 1000

printf '\nMemory from the 100 000th to the 1 000 000th request (goal: under 2 MiB of growth)\n'
printf '%-14s %10s %10s %10s\n' server "MiB then" "MiB later" growth
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
for server in ${servers//,/ }; do
    serve "$server"
    for requests in 100000 900000; do
        harness run --url "http://$addr/asyncwait?ms=0" --strategy async --requests $requests --concurrency 64 \
            --blocks 1 --quiet --out "$work/memory-$server-$requests" >/dev/null
        printf '%s ' "$(rss $server_pid)"
    done | awk -v server="$server" '{ printf "%-14s %10.1f %10.1f %10.1f\n", server, $1 / 1024, $2 / 1024, ($2 - $1) / 1024 }'
    stop_server
done

printf '\nFrom one replicate to the next, beyond the measuring itself (goal: at most 0.3 s)\n'
harness run --server "$servers" --route wait,asyncwait --strategy thread-pool,async --requests 100 --blocks 2 \
    --interfere fib/42@1 --quiet --out "$work/held" >/dev/null
harness run --server "$servers" --route wait,asyncwait --strategy thread-pool,async --requests 100 --blocks 2 \
    --processes 1 --quiet --out "$work/alone" >/dev/null
for out in alone held; do
    columns "$work/$out/cells.csv" started_at elapsed_s |
        awk -F'\t' '{ split(substr($1, 12), t, /[:Z]/); now = t[1] * 3600 + t[2] * 60 + t[3]
                      if (NR > 1 && now > before) print now - before - elapsed
                      before = now; elapsed = $2 }' | sort -n |
        awk -v what="$out" '{ v[NR] = $1 } END { printf "%-14s median %.3f s, highest %.3f s, of %d\n",
            what == "held" ? "with fib/42@1" : "alone", v[int((NR + 1) / 2)], v[NR], NR }'
done
