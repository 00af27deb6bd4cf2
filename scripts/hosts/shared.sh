# What two_hosts.sh and slurm.sh share: what they need is installed, the harness built as $harness, its files and
# processes looked at. For sourcing, in the checkout.

fail() { echo "error: $*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || { echo "error: network namespaces need root" >&2; exit 4; }

# prepare PACKAGE...: these are missing; then the harness.
prepare() {
    if [ $# -gt 0 ]; then
        command -v apt-get >/dev/null || { echo "error: install $*" >&2; exit 4; }
        echo "installing $*"
        apt-get update -qq
        # Services of their own are not wanted.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    fi
    local profile=${PROFILE:-release} target
    case $profile in
    release) cargo build --quiet --release --locked --package harness ;;
    *) cargo build --quiet --locked --package harness ;;
    esac
    target=$(cargo metadata --no-deps --format-version=1 --locked --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
    harness=$target/$profile/harness
}

# nothing_left WHEN: nothing but $theirs, an expression for grep -E, runs in the namespaces ${spaces[@]}, or does soon.
nothing_left() {
    for _ in $(seq 300); do
        left=$(for space in "${spaces[@]}"; do ip netns pids "$space"; done | while read -r pid; do
            { tr '\0' ' ' <"/proc/$pid/cmdline"; echo; } 2>/dev/null || true
        done | grep -vE "^\$|$theirs" || true)
        [ -n "$left" ] || return 0
        sleep 0.1
    done
    fail "left running $1: $left"
}

# column FILE NAME...: these columns of a CSV file, a line a row.
column() { python3 -c '
import csv, sys
for row in csv.DictReader(open(sys.argv[1])):
    print("|".join(row[name] for name in sys.argv[2:]))' "$@"; }
