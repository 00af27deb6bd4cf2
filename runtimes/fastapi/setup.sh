#!/usr/bin/env bash
# Makes .venv beside this file and installs requirements.txt in it. Does nothing when that is done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "error: $1" >&2
    exit 1
}

# The copy is made last: without it, an installation was begun and not finished.
installed=.venv/requirements.txt
if cmp -s requirements.txt "$installed" && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

command -v python3 >/dev/null || fail "python3 is missing: install Python 3.11 or newer"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old for FastAPI: install Python 3.11 or newer"
python3 -c 'import venv, ensurepip' 2>/dev/null ||
    fail "Python's venv module is missing: install it (on Debian and Ubuntu: apt install python3-venv)"

python3 -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
cp requirements.txt "$installed"
