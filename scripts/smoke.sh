#!/usr/bin/env bash
# Runs every experiment in a short form, on two servers, so that they can take turns: does it still work from its file
# to its tables? Says nothing about speeds. Each takes less than two minutes, the build aside. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

servers=${1:-tokio-multi,tokio-current}
cargo build --quiet --release --locked --package harness
target=$(cargo metadata --no-deps --format-version=1 --locked --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
harness=$target/release/harness
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A single block; times and searches as short as they can be.
shortened() {
    sed -E -e 's/^(duration_s) = [0-9.]+/\1 = 0.2/; s/^(warmup_s) = .*/\1 = 0.1/; s/^rounds = .*/rounds = 2/' \
        -e 's/^(precision) = .*/\1 = 0.5/; s/^(trials) = .*/\1 = 1/; s/^requests = .*/requests = 5/; s/requests = [0-9]+/requests = 5/' \
        "harness/experiments/$1.toml" >"$folder/$1.toml"
}
for file in harness/experiments/*.toml; do
    name=$(basename "$file" .toml)
    shortened "$name"
    start=$(date +%s)
    # 3: some request failed, which a busy machine may bring about in so short a time.
    status=0
    "$harness" run --experiment "$folder/$name.toml" --server "$servers" --blocks 1 --quiet --out "$folder/$name" \
        >/dev/null || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || { echo "error: $name ended with $status" >&2; exit 1; }
    "$harness" report "$folder/$name" >/dev/null
    rows=$(($(wc -l <"$folder/$name/cells.csv") - 1))
    echo "smoke run of $name: $rows rows in $(($(date +%s) - start)) s"
    [ "$rows" -ge 3 ]
done
