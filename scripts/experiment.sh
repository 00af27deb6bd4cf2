#!/usr/bin/env bash
# Measures an experiment on every server and puts its tables into docs/experiments/NAME.md: the page, by one command.
#
#   scripts/experiment.sh hazard             into a new directory below results/
#   scripts/experiment.sh hazard --blocks 1  with flags of `harness run`; the page is left alone
#
# Needs a machine that has nothing else to do. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

name=${1:?give the name of an experiment, as harness list shows them}
shift
cargo build --quiet --release --locked --package harness
target=$(cargo metadata --no-deps --format-version=1 --locked --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
harness=$target/release/harness
if [ $# -gt 0 ]; then exec "$harness" run --experiment "$name" "$@"; fi

out=results/$(date -u +%Y%m%dT%H%M%SZ)-$(hostname | cut -d. -f1)-$name
status=0
"$harness" run --experiment "$name" --out "$out" || status=$?
# 3 says that some requests failed, which their rows tell; anything else is no run.
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
"$harness" report "$out" --figures --format markdown --splice "docs/experiments/$name.md"
exit "$status"
