#!/usr/bin/env bash
# Measures over two nodes of a Slurm cluster that is all on this machine: a slurmctld, and two slurmd, each in a network
# namespace of its own on one bridge. Then a run in two parts as a job array, and both parts joined. Everything it sets
# up is taken down, whatever happens.
#
#   scripts/slurm.sh            the short form of `quick` over two nodes, and a job array
#   scripts/slurm.sh FLAGS      a run with these flags of `harness run` over the two nodes
#
# Needs root, iproute2, slurm-wlm and munge, which it installs where apt-get is there. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

. scripts/hosts/shared.sh

missing=()
[ -x /usr/sbin/slurmd ] || missing+=(slurmd slurm-client)
[ -x /usr/sbin/slurmctld ] || missing+=(slurmctld)
command -v munged >/dev/null || missing+=(munge)
command -v ip >/dev/null || missing+=(iproute2)
prepare "${missing[@]}"

folder=$(mktemp -d)
chmod 755 "$folder"
bridge=hb$$
spaces=("harness-n1-$$" "harness-n2-$$")
theirs="slurmd|slurmstepd"
started=()
down() {
    status=$?
    trap - EXIT
    for space in "${spaces[@]}"; do
        pids=$(ip netns pids "$space" 2>/dev/null || true)
        [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
    done
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    # Bash tells of each that was killed.
    wait 2>/dev/null "${started[@]}" || true
    for space in "${spaces[@]}"; do ip netns del "$space" 2>/dev/null || true; done
    ip link del "$bridge" 2>/dev/null || true
    rm -rf "$folder"
    exit "$status"
}
trap down EXIT

ip link add "$bridge" type bridge
ip address add 10.78.0.254/24 dev "$bridge"
ip link set "$bridge" up
for number in 1 2; do
    space=${spaces[number - 1]}
    ip netns add "$space"
    ip link add "hv$number-$$" type veth peer name cable netns "$space"
    ip link set "hv$number-$$" master "$bridge" up
    ip -n "$space" address add "10.78.0.$number/24" dev cable
    ip -n "$space" link set cable up
    ip -n "$space" link set lo up
done

mkdir -p "$folder/state" "$folder/munge"
dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
chmod 700 "$folder/munge"
chmod 600 "$folder/munge/key"
munged --foreground --force --key-file "$folder/munge/key" --socket "$folder/munge.socket" \
    --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" --seed-file "$folder/munge/seed" 2>"$folder/munge/said" &
started+=($!)
cat >"$folder/slurm.conf" <<EOF
ClusterName=two
SlurmctldHost=$(hostname)(10.78.0.254)
SlurmctldPort=17000
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
ReturnToService=2
MpiDefault=none
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdSpoolDir=$folder/spool-%n
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$(hostname) NodeAddr=10.78.0.1 Port=17001 CPUs=$(nproc)
NodeName=n2 NodeHostname=$(hostname) NodeAddr=10.78.0.2 Port=17002 CPUs=$(nproc)
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$folder/slurm.conf
until [ -S "$folder/munge.socket" ]; do sleep 0.1; done
slurmctld -D >"$folder/slurmctld.log" 2>&1 &
started+=($!)
for number in 1 2; do
    # ip netns exec would hide /sys/fs/cgroup, which slurmd looks for.
    nsenter --net="/run/netns/${spaces[number - 1]}" slurmd -D -N "n$number" >"$folder/slurmd-n$number.log" 2>&1 &
    started+=($!)
done
for _ in $(seq 300); do
    up=$(sinfo --noheader --Node --format '%t' 2>/dev/null | grep -c idle || true)
    [ "$up" -lt 2 ] || break
    sleep 0.1
done
[ "$up" -eq 2 ] || { tail -n 5 "$folder"/*.log >&2; fail "no two nodes are up"; }
sinfo --Node

export XDG_CACHE_HOME=$folder/cache
over_both() { salloc --quiet --nodes=2 "$harness" run --hosts slurm "$@"; }

if [ $# -gt 0 ]; then
    over_both "$@"
    nothing_left "after the run"
    exit
fi

servers=${SERVERS:-smol,tokio-multi}
echo "== quick, over two nodes"
over_both --server "$servers" --blocks 2 --seed 1 --out "$folder/quick" --quiet >/dev/null || [ $? -eq 3 ]
column "$folder/quick/cells.csv" server_host client_hosts placement error | sort | uniq -c
[ "$(column "$folder/quick/cells.csv" server_host client_hosts placement error | sort -u)" = "n1|n2|hosts|" ] ||
    fail "rows of other nodes, or with errors"
nothing_left "after a run"

echo "== two parts of a run, as a job array"
cat >"$folder/night.sh" <<EOF
#!/bin/bash
cd "$PWD"
exec "$harness" run --server "$servers" --route plaintext --strategy closed-loop --duration 200ms --blocks 4 --seed 7 \
    --blocks-of "\$SLURM_ARRAY_TASK_ID/2" --out "$folder/part-\$SLURM_ARRAY_TASK_ID" --quiet
EOF
sbatch --quiet --wait --array=1-2 --nodes=1 --output "$folder/night-%a.log" "$folder/night.sh" || [ $? -eq 3 ] ||
    { cat "$folder"/night-*.log >&2; fail "the array failed"; }
"$harness" merge "$folder/part-1" "$folder/part-2" --out "$folder/whole" >/dev/null
column "$folder/whole/cells.csv" block role | sort | uniq -c
[ "$(column "$folder/whole/cells.csv" block | sort -u | tr '\n' ' ')" = "1 2 3 4 " ] || fail "blocks are missing"
nothing_left "after the array"

echo "slurm: all as it should be"
