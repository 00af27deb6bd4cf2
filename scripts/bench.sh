#!/usr/bin/env bash
# Prints the figures the project holds itself to, beside what was reached. Nothing here passes or fails:
# the machine is noisy, and a figure that was not reached is a fact to write down.
#
#   scripts/bench.sh                      everything, about an hour
#   scripts/bench.sh client               the load engine: beside wrk, on a schedule, with 10 000 connections
#   scripts/bench.sh instructions         the load engine's instructions per request beside wrk's, by valgrind
#   scripts/bench.sh power                what 12 blocks can tell apart, and what judging costs
#   scripts/bench.sh servers [SERVER…]    every server built on the contract, or these
#
# ROUNDS=10 and BLOCKS=5 say how often. Needs an idle machine with two CPUs or more.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
case "${1:-all}" in
    client | instructions | power) exec "$here/bench/$1.sh" ;;
    servers) shift && exec "$here/bench/servers.sh" "$@" ;;
    all) for part in client instructions power servers; do "$here/bench/$part.sh"; done ;;
    *) echo "error: '$1': give client, instructions, power or servers" >&2; exit 2 ;;
esac
