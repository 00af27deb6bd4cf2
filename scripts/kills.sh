#!/usr/bin/env bash
# Kills the processes of small runs at random moments, each time one of them: the coordinator, an agent, a client or a
# server. After each kill nothing may be left running, `harness report` reads the run's directory, and in the end its
# rows are those of a run that nobody disturbed, but for the figures. Prints a table by victim.
#
#   scripts/kills.sh                1000 kills, about three hours
#   scripts/kills.sh 50             so many
#   scripts/kills.sh 50 7           with another seed than 1: the same victims and moments, as far as a clock allows that
#
# PROFILE=debug takes the harness that tests build. What has failed is kept, and its path said. Exit codes: 0 all was as it
# should be, 1 something was not. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

kills=${1:-1000} seed=${2:-1}
for number in "$kills" "$seed"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || { echo "error: '$number': give the number of kills, and a seed" >&2; exit 2; }
done
profile=${PROFILE:-release}
case $profile in
release) cargo build --quiet --release --locked --package harness ;;
*) cargo build --quiet --locked --package harness ;;
esac
target=$(cargo metadata --no-deps --format-version=1 --locked --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
# A copy: it may be built again meanwhile.
folder=$(mktemp -d)
trap 'rm -rf "$folder/bin" "$folder/cache"; rmdir "$folder" 2>/dev/null || echo "kept: $folder"' EXIT
mkdir "$folder/bin" "$folder/cache"
cp "$target/$profile/harness" "$folder/bin/"
python3 scripts/kills.py "$folder/bin/harness" "$kills" "$seed" "$folder"
