#!/usr/bin/env bash
# What twelve blocks can tell apart, and what judging and recording cost a run.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

echo "Deciding power (goals: 5% more CPU found in 17 of 20 repeats; A against A different in at most 1 of 20)"
harness selftest --full --only "K11,K11b" || true

echo "Judging and recording (goal: at most 2% of a run's wall time)"
harness run --server smol,tokio-multi --blocks 6 --processes 1 --quiet --out "$work/run" >/dev/null || true
python3 - "$work/run/run.json" <<'PYTHON'
import datetime, json, sys
run = json.load(open(sys.argv[1]))
start, end = (datetime.datetime.fromisoformat(run[name].split(".")[0].rstrip("Z")) for name in ("started_at", "ended_at"))
wall = (end - start).total_seconds()
print(f"  {run['bookkeeping_s']:.2f} s of {wall:.0f} s: {100 * run['bookkeeping_s'] / wall:.2f}%")
PYTHON
