#!/usr/bin/env bash
# Makes what is measured in README.md, docs/article.md, docs/choosing.md, docs/counts.md and docs/history.md anew, from committed
# runs: findings, tables and pictures. Works from any directory.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

full=results/20261128T211450Z-vm-full
# Of eight and more: a request to fastapi costs ten times as much and more.
servers=async-std,may,may-minihttp,smol,threads,tokio-current,tokio-multi
everyone=results/20261129T133220Z-vm-full-all
quick=results/20261128T110402Z-vm-quick
count=results/20261129T095045Z-vm-count
# All others of which there is a count.
others=actix-web,axum,compio,may-default,may-hyper,nio,smol-codec,smol-direct,smol-local,smol-no-timer,smol-static,threads-hyper,threads-no-timer,threads-uncapped,tokio-alt-timer,tokio-block-in-place,tokio-codec,tokio-mimalloc,tokio-multi-no-timer,tokio-no-lifo,tokio-per-core,tokio-sharded-queue,tokio-unstable
harness() { cargo run --quiet --release --locked --package harness -- "$@"; }

harness report "$full" --server "$servers" --map docs/pictures/map
harness report "$full" --server "$servers" --findings --splice README.md#findings
harness report "$full" --server "$servers" --choices --splice docs/choosing.md#choices
harness report "$everyone" --choices --splice docs/choosing.md#everyone
harness report "$quick" --splice README.md#quick
harness report results/20261129T054325Z-vm-seed --by work --format markdown --splice docs/article.md
harness report "$count" --server "$servers" --instructions docs/pictures/instructions
harness report "$count" --server "$servers" --splice docs/counts.md#counts
harness report "$count" --server "$others" --splice docs/counts.md#others
history() { harness report "$2" --history "docs/pictures/history-$1" && harness report "$2" --splice "docs/history.md#$1"; }
history tokio results/20261128T070500Z-vm-history-tokio
history hyper results/20261128T075000Z-vm-history-hyper
harness report results/20261128T073800Z-vm-history-async-io --splice docs/history.md#async-io
harness report results/20261128T223452Z-vm-history-async-executor --splice docs/history.md#async-executor
