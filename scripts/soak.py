#!/usr/bin/env python3
"""Does a server keep a load for long? Per server: so many seconds, and so many requests, at 80% of its knee; then new
connections for a quarter of a minute; then 10 000 connections at once, all of them used. Meanwhile the memory and the
descriptors of its processes are read from /proc every tenth of a second.

    scripts/soak.py SERVER...                   half a minute of searching and 10^7 requests each
    scripts/soak.py --seconds 1800 smol         half an hour, and 10^7 requests
    scripts/soak.py --splice docs/robustness.md       the table of all soak.csv in results/, into the document

A line a server goes to results/<time>-<host>-soak/soak.csv as soon as it is known, beside the rows of each part. Needs a
harness in target/release (cargo build --release). Exit code 1: a server failed a request, or was not measured.
"""

import argparse
import csv
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERY_S = 0.1
# What /proc counts resident memory in.
PAGE = os.sysconf("SC_PAGE_SIZE")

QUESTION = "Does a server keep a load for long: no error, no memory and no descriptor more at its end?"
KNEE = """
question = "{question}"
blocks = 1
figures = ["throughput_rps"]
[search]
over = "rate"
keep = "response_p50_us < 5000"
from = 500
to = 200000
precision = 0.1
trials = 3
[[search.load]]
strategy = "open-loop"
route = "{route}"
arrival = "poisson"
concurrency = 64
warmup_s = 0.2
duration_s = 0.5
[[load]]
strategy = "open-loop"
route = "{route}"
rate = "{share} * knee"
arrival = "poisson"
concurrency = 64
duration_s = 1
"""
LOAD = """
question = "{question}"
blocks = 1
figures = ["throughput_rps"]
[[load]]
strategy = "{strategy}"
route = "{route}"
concurrency = {concurrency}
duration_s = {duration}
"""
SHARE = 0.8
# The longest load that the harness takes.
LONGEST_S = 3600
COLUMNS = [
    "server", "runtime_version", "route", "knee_rps", "rate_rps", "elapsed_s", "requests", "failed", "rss_after_first_minute_bytes",
    "rss_at_end_bytes", "growth_bytes", "descriptors_after_first_minute", "descriptors_at_end", "new_connections", "new_failed",
    "new_descriptors", "connections_at_once", "at_once_requests", "at_once_failed",
]  # fmt: skip


def parents():
    """Every process's parent and its executable's name."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
                name = os.path.basename(os.readlink(entry.path + "/exe"))
            except OSError:
                continue
            yield int(entry.name), int(stat.rsplit(") ", 1)[1].split()[1]), name


def servers_below(harness):
    """The processes below a harness that are no harness: per server its first process, and all of them."""
    below = {harness: None}
    grew = True
    all_of = list(parents())
    while grew:
        grew = False
        for pid, parent, name in all_of:
            if pid not in below and parent in below:
                first = below[parent]
                below[pid] = first if first is not None or name == "harness" else pid
                grew = True
    found = {}
    for pid, first in below.items():
        if first is not None:
            found.setdefault(first, []).append(pid)
    return found


def read(pids):
    """The resident bytes and the descriptors of some processes, or nothing where one has ended."""
    try:
        resident = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in pids)
        return resident, sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
    except (OSError, IndexError):
        return None


def measure(harness, server, text, out):
    """Runs an experiment. The rows of the server, and (seconds, bytes, descriptors) of the process that lived longest."""
    file = out.parent / f"{out.name}.toml"
    file.write_text(text)
    command = [harness, "run", "--experiment", file, "--server", server, "--out", out, "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = []
    listener = threading.Thread(target=lambda: said.extend(process.stderr))
    listener.start()
    series = {}
    while process.poll() is None:
        for first, pids in servers_below(process.pid).items():
            seen = read(pids)
            if seen:
                series.setdefault(first, []).append((time.monotonic(), *seen))
        time.sleep(EVERY_S)
    listener.join()
    cells = out / "cells.csv"
    rows = list(csv.DictReader(cells.open(newline=""))) if cells.is_file() else []
    rows = [row for row in rows if row["server"] == server and row["role"] == "contestant" and row["block"] != "0"]
    if not rows:
        sys.stderr.writelines(said)
    longest = max(series.values(), key=lambda points: points[-1][0] - points[0][0], default=[])
    return rows, [(at - longest[0][0], *seen) for at, *seen in longest]


def most(points, start, end, column):
    """The most of a column between two times."""
    return max((point[column] for point in points if start <= point[0] <= end), default=None)


def failed(row):
    """The requests that were not answered as they should be."""
    fates = ["bad_status", "bad_body", "err_connect", "err_read", "err_write", "timed_out", "shed", "in_flight_at_end"]
    return sum(int(row[fate] or 0) for fate in fates)


def soak(harness, wanted, server, out):
    line = {"server": server, "route": wanted.route}

    def part(name, text, **fields):
        text = text.format(question=QUESTION, route=wanted.route, share=SHARE, **fields)
        rows, points = measure(harness, server, text, out / f"{server}-{name}")
        row = rows[0] if rows else {"error": "no row"}
        if row["error"]:
            print(f"{server}, {name}: not measured: {row['error']}", file=sys.stderr)
            return None, points
        return row, points

    row, _ = part("knee", KNEE)
    if row is None or not row["knee_rps"]:
        return line, False
    rate = round(SHARE * float(row["knee_rps"]))
    line |= {"runtime_version": row["runtime_version"], "knee_rps": round(float(row["knee_rps"])), "rate_rps": rate}
    duration = min(max(wanted.seconds, wanted.requests / rate), LONGEST_S)
    open_loop = LOAD + f'rate = {rate}\narrival = "poisson"\n'
    row, points = part("load", open_loop, strategy="open-loop", concurrency=64, duration=round(duration, 3))
    if row is None or not points:
        return line, False
    end = points[-1][0]
    line |= {
        "elapsed_s": round(float(row["elapsed_s"]), 1),
        "requests": row["ok"],
        "failed": failed(row),
        "rss_after_first_minute_bytes": most(points, 50, 60, 1),
        # Not its last second, in which the load has ended.
        "rss_at_end_bytes": most(points, end - 11, end - 1, 1),
        "descriptors_after_first_minute": most(points, 50, 60, 2),
        "descriptors_at_end": most(points, end - 11, end - 1, 2),
    }
    if end > 71:
        line["growth_bytes"] = line["rss_at_end_bytes"] - line["rss_after_first_minute_bytes"]
    good = line["failed"] == 0

    row, points = part("new", LOAD, strategy="churn", concurrency=64, duration=15)
    good &= row is not None and failed(row) == 0
    if row and points:
        line |= {"new_connections": row["connects"], "new_failed": failed(row)}
        line["new_descriptors"] = most(points, points[-1][0] - 4, points[-1][0] - 1, 2)

    row, _ = part("many", LOAD, strategy="closed-loop", concurrency=wanted.connections, duration=10)
    good &= row is not None and failed(row) == 0
    if row:
        line |= {"connections_at_once": row["connects"], "at_once_requests": row["ok"], "at_once_failed": failed(row)}
    return line, good


def table(lines):
    """The lines as Markdown, the largest growth first."""
    yield "| server | at 80% of its knee | requests | failed | memory after a minute | more at the end | descriptors more | new connections | descriptors at their end | 10 000 at once: answered, failed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    number = lambda text: f"{int(text):,}".replace(",", "\u202f") if text not in ("", None) else "–"
    mib = lambda text: f"{int(text) / 2**20:.1f} MiB" if text not in ("", None) else "–"
    for line in lines:
        more = "–"
        if line["descriptors_at_end"] and line["descriptors_after_first_minute"]:
            more = str(int(line["descriptors_at_end"]) - int(line["descriptors_after_first_minute"]))
        length = f"{float(line['elapsed_s']) / 60:.0f} min at {number(line['rate_rps'])}/s" if line["elapsed_s"] else "–"
        cells = [
            line["server"], length, number(line["requests"]), number(line["failed"]), mib(line["rss_after_first_minute_bytes"]),
            mib(line["growth_bytes"]), more, number(line["new_connections"]), line["new_descriptors"] or "–",
            f"{number(line['at_once_requests'])}, {number(line['at_once_failed'])}",
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"


def splice(document):
    lines = [line for file in sorted(ROOT.glob("results/*-soak/soak.csv")) for line in csv.DictReader(file.open(newline=""))]
    lines.sort(key=lambda line: (-int(line["growth_bytes"] or -1), line["server"]))
    text = Path(document).read_text()
    start, end = "<!-- soak: scripts/soak.py --splice -->\n", "<!-- end of soak -->"
    before, rest = text.split(start)
    after = rest.split(end)[1]
    Path(document).write_text(before + start + "\n".join(table(lines)) + "\n" + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=0, help="so long at 80%% of the knee at least [default: what the requests take]")
    parser.add_argument("--requests", type=int, default=10_000_000, help="so many requests at 80%% of the knee at least, in an hour at most [default: 10^7]")
    parser.add_argument("--connections", type=int, default=10_000, help="so many at once [default: 10 000]")
    parser.add_argument("--route", default="plaintext", help="what is asked [default: plaintext]")
    parser.add_argument("--out", type=Path, help="where the lines and the rows go")
    parser.add_argument("--splice", metavar="FILE", help="put the table of results/*-soak into a document, and measure nothing")
    parser.add_argument("server", nargs="*")
    wanted = parser.parse_args()
    if wanted.splice:
        return splice(wanted.splice)
    if not wanted.server:
        parser.error("name a server, as harness list shows them")
    harness = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "harness"
    if not harness.is_file():
        parser.error("there is no harness in target/release: cargo build --release")
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{socket.gethostname().split('.')[0]}-soak"
    out = (wanted.out or ROOT / "results" / name).resolve()
    out.mkdir(parents=True)
    all_good = True
    with (out / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for server in wanted.server:
            line, good = soak(harness, wanted, server, out)
            writer.writerow(line)
            file.flush()
            print(", ".join(f"{column} {value}" for column, value in line.items()))
            all_good &= good
    sys.exit(0 if all_good else 1)


if __name__ == "__main__":
    main()
