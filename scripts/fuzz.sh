#!/usr/bin/env bash
# Fuzzes: each target for so long, or for so many inputs, and says how many it was given. Works from any directory.
#
#   scripts/fuzz.sh                 ten seconds each
#   scripts/fuzz.sh 60s             a minute each
#   scripts/fuzz.sh 1000000         a million inputs each
#   scripts/fuzz.sh 60s response    only this one
#
# What is found stays in fuzz/artifacts/, and what was learnt in fuzz/corpus/: neither is committed. Exit codes: 0 nothing
# was found, 1 something was, 4 cargo-fuzz is not there and cannot be installed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

amount=${1:-10s}
if [[ $amount =~ ^[1-9][0-9]*s$ ]]; then
    limit=-max_total_time=${amount%s}
elif [[ $amount =~ ^[1-9][0-9]*$ ]]; then
    limit=-runs=$amount
else
    echo "error: $amount: give a number of seconds as in 60s, or a number of inputs" >&2
    exit 2
fi
shift || true

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "installing cargo-fuzz"
    cargo install --quiet --locked cargo-fuzz || { echo "error: cargo-fuzz cannot be installed" >&2 && exit 4; }
fi

# Without a sanitizer a stable compiler will do; there is next to no unsafe code to look after.
cargo fuzz build --sanitizer none

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)

# In memory where there is such a place: one target writes files for each input.
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
log=$TMPDIR/log
found=0
all=0
for target in "${targets[@]}"; do
    seeds=()
    [ -d "fuzz/seeds/$target" ] && seeds+=("fuzz/seeds/$target")
    words=json
    longest=8192
    case $target in
        request_head | request_body | response) words=http ;;
        experiment) words=toml && seeds+=(harness/experiments) ;;
        manifest | hosts) words=toml ;;
        cells) words=csv ;;
        run_directory) longest=32768 ;;
    esac
    mkdir -p "fuzz/corpus/$target"
    result=ok
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "${seeds[@]}" -- "$limit" -dict="fuzz/dictionaries/$words.dict" \
        -max_len=$longest -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 >"$log" 2>&1 || result=FOUND
    executed=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1/p' "$log" | tail -1)
    all=$((all + ${executed:-0}))
    printf '%-14s %12s inputs  %s\n' "$target" "${executed:-0}" "$result"
    if [ $result != ok ]; then
        found=1
        tail -40 "$log" >&2
    fi
done
printf '%-14s %12s inputs\n' all "$all"
exit $found
