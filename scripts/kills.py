"""Kills the processes of small runs at random moments. Started by scripts/kills.sh, which says what is held to.

Usage: kills.py HARNESS KILLS SEED FOLDER

Everything that it starts is below this process, also what was orphaned (PR_SET_CHILD_SUBREAPER): so it knows what is left,
and kills nothing else.
"""

import csv
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

VICTIMS = ["coordinator", "agent", "client", "server"]

# Small runs: few blocks, short loads, two servers. As different as what is under way when somebody is killed.
SERVERS = ["--server", "smol,tokio-multi", "--seed", "1", "--quiet"]
CLOSED = ["--route", "plaintext", "--strategy", "closed-loop", "--concurrency", "4", "--warmup", "50ms"]
RUNS = {
    "one by one": [*CLOSED, "--duration", "300ms", "--blocks", "2"],
    "in turns": ["--experiment", "ab", "--blocks", "2"],
    "beside a computation": [
        *["--route", "asyncwait?ms=5", "--strategy", "async", "--requests", "100", "--concurrency", "10"],
        *["--interfere", "fib/30@1", "--blocks", "2"],
    ],
    "over hosts": [*CLOSED, "--duration", "300ms", "--blocks", "2", "--hosts", "HOSTS"],
}

HOSTS = """
[[host]]
name = "a"
launch = ["env", "XDG_CACHE_HOME={cache}"]
address = "127.0.0.1"
role = "server"
[[host]]
name = "b"
role = "client"
[[host]]
name = "c"
launch = ["env", "XDG_CACHE_HOME={cache}"]
role = "client"
"""

# What a row has before anybody has measured anything.
KEYS = [
    "block", "workload_id", "workload", "workload_no", "load", "phase", "server", "role", "route", "interference",
    "strategy", "loop", "arrival", "amount", "requests", "duration_s", "warmup_s", "concurrency", "phase_scale",
]

# How long what is left may take to notice that it is: the pipe to an agent tells at once, and a lease does in 20 s.
PATIENCE = 30
# How long a run may take, with the limits of what never answers.
LONGEST = 180


class Wrong(Exception):
    """What should not have happened."""


def descendants():
    """The processes below this one, each with its parent, its state and its words."""
    all_of = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            all_of[int(folder.name)] = (int(parent), state, words)
    below = {os.getpid()}
    while True:
        more = {pid for pid, (parent, _, _) in all_of.items() if parent in below} - below
        if not more:
            break
        below |= more
    return {pid: all_of[pid] for pid in below if pid in all_of and pid != os.getpid()}


def running():
    """Those of them that run. What was orphaned and has ended is waited for, but for the coordinator."""
    found = {}
    for pid, (parent, state, words) in descendants().items():
        if state not in "ZX":
            found[pid] = (parent, words)
        elif parent == os.getpid() and pid != coordinator_pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
    return found


# The coordinator's, which subprocess waits for.
coordinator_pid = None


def kinds(found):
    """The processes by what they are. Those of the toolchain, and launchers, are no victims."""
    by_kind = {kind: [] for kind in VICTIMS}
    for pid, (parent, words) in found.items():
        is_agent = "agent" in words[1:2]
        if pid == coordinator_pid:
            by_kind["coordinator"].append(pid)
        elif is_agent:
            by_kind["agent"].append(pid)
        elif words[1:2] == ["client"]:
            by_kind["client"].append(pid)
        elif "agent" in found.get(parent, (0, []))[1][1:2]:
            by_kind["server"].append(pid)
    return by_kind


def kill(pid):
    """Kills a process that is still one of ours; says whether it was."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if pid not in running():
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


class Trial:
    """A run that somebody disturbs, until it has ended."""

    def __init__(self, harness, flags, out):
        self.harness, self.flags, self.out = harness, flags, out
        self.said = out.with_suffix(".log")

    def start(self):
        """Starts the run, or goes on with it."""
        global coordinator_pid
        goes_on = self.out.exists()
        flags = ["--resume", self.out, "--quiet"] if goes_on else [*SERVERS, *self.flags, "--out", self.out]
        with self.said.open("a") as log:
            print("$ harness run", *flags, file=log, flush=True)
            self.run = subprocess.Popen(
                [self.harness, "run", *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        coordinator_pid = self.run.pid

    def wait(self, limit=LONGEST):
        """Waits until the run has ended, and until nothing of it is left. Returns its exit code."""
        try:
            code = self.run.wait(limit)
        except subprocess.TimeoutExpired:
            raise Wrong(f"it has not ended after {limit} s") from None
        until = time.monotonic() + PATIENCE
        while left := running():
            if time.monotonic() > until:
                raise Wrong(f"left running: {[' '.join(words) for _, words in left.values()]}")
            time.sleep(0.01)
        return code

    def read(self):
        """Has the harness read the directory, and reads its CSV files."""
        report = subprocess.run([self.harness, "report", self.out], capture_output=True, text=True, check=False)
        if report.returncode != 0:
            raise Wrong(f"report: exit code {report.returncode}: {report.stderr.strip()}")
        for file in self.out.glob("*.csv"):
            with file.open(newline="") as lines:
                header, *rows = csv.reader(lines)
                if any(len(row) != len(header) for row in rows):
                    raise Wrong(f"{file.name} has a row of another length than its header")

    def keys(self):
        """What the rows are about, in their order. A group that was disturbed is run again: the first time counts."""
        with (self.out / "cells.csv").open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        places = [(row["block"], int(row["order_index"]), row["load"], row["phase"]) for row in rows]
        if len(set(places)) != len(places):
            raise Wrong("two rows have one place")
        return [tuple(row[key] for key in KEYS) for row in rows if row["attempt"] == "1"]


def disturb(trial, victim, moment, chance):
    """Kills a process of this kind of the run under way, at this moment or when there is one. Says whether it did."""
    until = time.monotonic() + moment
    while trial.run.poll() is None:
        if time.monotonic() >= until:
            found = kinds(running())[victim]
            if found and kill(chance.choice(sorted(found))):
                return True
        time.sleep(0.002)
    return False


def main():
    harness, kills, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        sys.exit("error: this kernel has no PR_SET_CHILD_SUBREAPER")
    hosts = folder / "cache" / "hosts.toml"
    hosts.write_text(HOSTS.format(cache=folder / "cache"))
    runs = {name: [str(hosts) if flag == "HOSTS" else flag for flag in flags] for name, flags in RUNS.items()}

    whole, lengths = {}, {}
    for name, flags in runs.items():
        trial = Trial(harness, flags, folder / "undisturbed")
        # Twice, since the first time may have something to copy.
        for _ in range(2):
            shutil.rmtree(trial.out, ignore_errors=True)
            start = time.monotonic()
            trial.start()
            if (code := trial.wait()) not in (0, 3):
                sys.exit(f"error: {name}: exit code {code}: {trial.said.read_text()}")
        trial.read()
        whole[name], lengths[name] = trial.keys(), time.monotonic() - start
        print(f"{name}: {len(whole[name])} rows in {lengths[name]:.1f} s", flush=True)
        shutil.rmtree(trial.out)
        trial.said.unlink()

    chance = random.Random(seed)
    done, missed, ended, wrong = Counter(), Counter(), 0, []
    begun = time.monotonic()
    while sum(done.values()) < kills:
        name = chance.choice(sorted(runs))
        trial = Trial(harness, runs[name], folder / f"run-{ended + 1}")
        victims = []
        try:
            while True:
                trial.start()
                # The last one of the run's is left alone, so that it has an end.
                if sum(done.values()) < kills and (not victims or chance.random() < 0.5):
                    victim, moment = chance.choice(VICTIMS), chance.random() * lengths[name]
                    if disturb(trial, victim, moment, chance):
                        done[victim] += 1
                        victims.append(victim)
                        with trial.said.open("a") as log:
                            print(f"# killed: {victim}, {moment:.3f} s after the start or later", file=log)
                    else:
                        missed[victim] += 1
                code = trial.wait()
                is_there = (trial.out / "run.json").exists()
                if is_there:
                    trial.read()
                elif trial.out.exists():
                    raise Wrong("there is a directory that is no run")
                if code in (0, 3, 4) and is_there and '"ended_at": null' not in (trial.out / "run.json").read_text():
                    break
                # Killed; or nothing could be measured, since somebody was killed before.
                if code not in (-signal.SIGKILL, 4):
                    raise Wrong(f"exit code {code}")
            rows, wanted = trial.keys(), whole[name]
            if rows != wanted:
                other = next((pair for pair in zip(rows, wanted) if pair[0] != pair[1]), "at the end")
                raise Wrong(f"{len(rows)} rows, and undisturbed it has {len(wanted)}; the first others: {other}")
            shutil.rmtree(trial.out)
            trial.said.unlink()
        except Wrong as problem:
            wrong.append((victims, trial.out.name))
            print(f"WRONG: {name}, killed {', '.join(victims)}: {problem} ({trial.said})", flush=True)
            if trial.run.poll() is None:
                trial.run.kill()
                trial.run.wait()
        ended += 1
        if ended % 25 == 0:
            print(f"{sum(done.values())} kills, {ended} runs, {time.monotonic() - begun:.0f} s", flush=True)

    print(f"\n{'killed':12} {'times':>6} {'in runs that went wrong':>24}")
    for victim in VICTIMS:
        print(f"{victim:12} {done[victim]:6} {sum(victim in victims for victims, _ in wrong):24}")
    print(f"{'all':12} {sum(done.values()):6} {len(wrong):24}")
    print(f"{ended} runs in {time.monotonic() - begun:.0f} s; {sum(missed.values())} times nobody was left to kill")
    sys.exit(1 if wrong else 0)


main()
