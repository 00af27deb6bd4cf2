#!/usr/bin/env bash
# Measures over two hosts on one machine: two network namespaces joined by a cable, an sshd in one, the coordinator and
# the clients in the other. Then what goes wrong with hosts: a cable that is pulled, an ssh that asks for a password.
# Everything it sets up is taken down, whatever happens.
#
#   scripts/two_hosts.sh            the short form of `quick`, and the faults
#   scripts/two_hosts.sh FLAGS      a run with these flags of `harness run`, and no faults
#
# Needs root, iproute2 and openssh-server, which it installs where apt-get is there. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

. scripts/hosts/shared.sh

missing=()
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v ssh >/dev/null || missing+=(openssh-client)
command -v ip >/dev/null || missing+=(iproute2)
prepare "${missing[@]}"

# Names of this run alone.
a=harness-a-$$ b=harness-b-$$
spaces=("$a" "$b")
# And its session where one is still about to end.
theirs=sshd
folder=$(mktemp -d)
sshd=
down() {
    status=$?
    trap - EXIT
    [ -z "$sshd" ] || kill "$sshd" 2>/dev/null || true
    for space in "${spaces[@]}"; do
        pids=$(ip netns pids "$space" 2>/dev/null || true)
        [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
        ip netns del "$space" 2>/dev/null || true
    done
    rm -rf "$folder"
    exit "$status"
}
trap down EXIT

ip netns add "$a"
ip netns add "$b"
ip -n "$a" link add cable type veth peer name cable netns "$b"
for end in "$a 10.77.0.1" "$b 10.77.0.2"; do
    read -r space address <<<"$end"
    ip -n "$space" address add "$address/24" dev cable
    ip -n "$space" link set cable up
    ip -n "$space" link set lo up
done
# A cable of some length, where the kernel can make one.
if tc -n "$a" qdisc add dev cable root netem delay 100us limit 100000 2>/dev/null; then
    echo "the cable delays by 0.1 ms"
else
    echo "note: this kernel has no netem: the cable is as short as can be"
fi

ssh-keygen -q -t ed25519 -N '' -f "$folder/host"
ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
cp "$folder/key.pub" "$folder/authorized"
chmod 700 "$folder"
cat >"$folder/sshd_config" <<EOF
ListenAddress 10.77.0.1:2222
HostKey $folder/host
AuthorizedKeysFile $folder/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
SetEnv XDG_CACHE_HOME=$folder/cache-a
EOF
mkdir -p /run/sshd
ip netns exec "$a" /usr/sbin/sshd -D -e -f "$folder/sshd_config" 2>"$folder/sshd.log" &
sshd=$!
until ip netns exec "$b" bash -c 'exec 3<>/dev/tcp/10.77.0.1/2222' 2>/dev/null; do
    kill -0 "$sshd" 2>/dev/null || { cat "$folder/sshd.log" >&2; fail "sshd does not start"; }
    sleep 0.1
done

# hosts FILE [MORE]: the server's host behind ssh with these options more, a client here.
hosts() {
    cat >"$1" <<EOF
[[host]]
name = "a"
launch = ["ssh", "-p", "2222", "-i", "$folder/key", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=$folder/known", "-o", "LogLevel=ERROR", ${2:-}"10.77.0.1"]
address = "10.77.0.1"
role = "server"
[[host]]
name = "b"
role = "client"
EOF
}
# two_clients FILE: and a second one.
two_clients() {
    hosts "$1"
    cat >>"$1" <<EOF
[[host]]
name = "c"
launch = ["env", "XDG_CACHE_HOME=$folder/cache-c"]
role = "client"
EOF
}
measure() { ip netns exec "$b" "$harness" run --hosts "$folder/hosts.toml" "$@"; }
two_clients "$folder/hosts.toml"
if [ $# -gt 0 ]; then
    measure "$@"
    nothing_left "after the run"
    exit
fi

servers=${SERVERS:-smol,tokio-multi}
echo "== quick, over two hosts"
measure --server "$servers" --blocks 2 --seed 1 --out "$folder/quick" --quiet >/dev/null || [ $? -eq 3 ]
rows=$(column "$folder/quick/cells.csv" server_host placement error | sort | uniq -c)
echo "$rows"
[ "$(column "$folder/quick/cells.csv" server_host placement error | sort -u)" = "a|hosts|" ] || fail "rows of other hosts, or with errors"
column "$folder/quick/cells.csv" client_hosts | sort -u | grep -qx "b c" || fail "no load was shared"
ls "$folder/cache-a/harness" | grep -q '^harness-' || fail "the harness was not put there"
nothing_left "after a run"

# cut NAME FLAGS: pulls the cable three seconds after a row of this run, and plugs it in again; the run goes on.
cut() {
    local name=$1 out=$folder/$1 run status=0
    shift
    echo "== the cable is pulled in the middle of a $name"
    measure "$@" --seed 1 --out "$out" --quiet >"$out.log" 2>&1 &
    run=$!
    until [ -f "$out/cells.csv" ] && [ "$(wc -l <"$out/cells.csv")" -gt 2 ]; do
        kill -0 "$run" 2>/dev/null || { cat "$out.log" >&2; fail "it ended early"; }
        sleep 0.1
    done
    sleep 3
    ip -n "$b" link set cable down
    wait "$run" || status=$?
    [ "$status" -eq 4 ] || { cat "$out.log" >&2; fail "exit code $status"; }
    tail -n 3 "$out.log"
    column "$out/cells.csv" role error | grep 'contestant|.' || fail "no row with an error"
    nothing_left "after the cut"
    ip -n "$b" link set cable up
    echo "== and the run goes on"
    status=0
    ip netns exec "$b" "$harness" run --resume "$out" --quiet >"$out.log" 2>&1 || status=$?
    # 4: the row of the cable has its error still; 3: on a busy machine others may have one.
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || [ "$status" -eq 4 ] || { cat "$out.log" >&2; fail "exit code $status"; }
    grep -q '"ended_at": "' "$out/run.json" && grep -q '"interrupted": false' "$out/run.json" ||
        { cat "$out.log" >&2; fail "the run has no end"; }
    [ -z "$(column "$out/cells.csv" error | tail -n 1)" ] || { cat "$out.log" >&2; fail "its last row has an error"; }
    nothing_left "after it went on"
}
cut load --server "${servers%%,*}" --route asyncwait --strategy open-loop --rate 200 --duration 6s --blocks 2
cat >"$folder/slices.toml" <<EOF
question = "What becomes of servers that take turns when their cable is pulled?"
blocks = 3
rounds = 10
[[load]]
strategy = "closed-loop"
route = "plaintext"
concurrency = 8
warmup_s = 0.005
duration_s = 0.3
EOF
# Servers take turns for one client.
hosts "$folder/hosts.toml"
cut slice --server "$servers" --experiment "$folder/slices.toml"

echo "== an ssh that asks for a password"
hosts "$folder/hosts.toml" '"-o", "PubkeyAuthentication=no", '
status=0
said=$(measure --server "${servers%%,*}" --blocks 1 --out "$folder/asked" 2>&1 >/dev/null) || status=$?
echo "$said"
[ "$status" -eq 4 ] && [ "$(wc -l <<<"$said")" -eq 1 ] || fail "exit code $status, and not one line"
grep -q 'host a: .*Permission denied' <<<"$said" || fail "it does not say why"
[ ! -e "$folder/asked" ] || fail "a run was begun"
nothing_left "after it was refused"

echo "two hosts: all as it should be"
