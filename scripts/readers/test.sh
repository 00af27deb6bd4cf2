#!/usr/bin/env bash
# Measures briefly, and has pandas, DuckDB, R, LibreOffice, frictionless, openpyxl and another HdrHistogram read what is
# written. Installs them where apt-get, root and a package index allow it: Python packages into a folder of the user's
# cache. Exit code 4: it could not. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

fail() {
    echo "error: the readers are not tested: $1" >&2
    exit 4
}

missing=()
command -v soffice >/dev/null || missing+=(libreoffice-calc)
command -v Rscript >/dev/null || missing+=(r-base-core)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then fail "they need ${missing[*]}: install them"; fi
    apt-get update -qq || fail "apt-get update failed"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get cannot install ${missing[*]}"
fi
environment=${XDG_CACHE_HOME:-$HOME/.cache}/harness-readers
python=$environment/bin/python
if ! cmp -s scripts/readers/requirements.txt "$environment/installed"; then
    echo "installing what scripts/readers/requirements.txt names into $environment"
    python3 -m venv "$environment" || fail "python3 has no venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r scripts/readers/requirements.txt ||
        fail "pip cannot install them"
    cp scripts/readers/requirements.txt "$environment/installed"
fi
soffice --version
Rscript --version 2>&1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
harness() { cargo run --quiet --release --locked --package harness -- "$@"; }
status=0
harness run --server smol,threads --route plaintext,asyncwait --strategy sequential,closed-loop,open-loop --requests 200 \
    --duration 2s --warmup 300ms --blocks 2 --processes 1 --quiet --out "$work/run" >/dev/null || status=$?
# 3 says that rows are not ok, which is nobody's concern here.
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
harness report "$work/run" --xlsx "$work/run.xlsx" >/dev/null
"$python" scripts/readers/compare.py "$work/run" "$work/run.xlsx"
