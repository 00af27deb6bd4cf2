//! The processes of a server, which may start more of them at any time, and the CPU time of them all.

use crate::host::usage;
use std::collections::HashMap;
use std::time::Duration;

/// `/proc/PID/stat` counts the user and the system time of ended children in whole ticks each.
const TICKS: Duration = Duration::from_millis(20);

/// Where a server's processes are found: below its first ones, whenever somebody asks.
#[derive(Debug, Clone, Default)]
pub struct ProcessTree {
    /// The first processes, each with whether it is a guard: a guard is no part of the server.
    roots: Vec<(i32, bool)>,
}

impl ProcessTree {
    /// The process `pid` and all below it.
    pub fn of(pid: i32) -> ProcessTree {
        ProcessTree { roots: vec![(pid, false)] }
    }

    /// All below the process `pid`, which only guards them.
    pub fn guarded_by(pid: i32) -> ProcessTree {
        ProcessTree { roots: vec![(pid, true)] }
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &ProcessTree) {
        self.roots.extend(&other.roots);
    }

    /// Returns true for a server that is not ours: it has no process that could be looked at.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Every process that belongs to the server now. Some microseconds for each process of the machine.
    pub fn pids(&self) -> Vec<i32> {
        let roots: Vec<i32> = self.roots.iter().map(|(pid, _)| *pid).collect();
        let mut pids: Vec<i32> = self.roots.iter().filter(|(_, guard)| !guard).map(|(pid, _)| *pid).collect();
        pids.extend(usage::below(&roots));
        pids
    }

    fn guards(&self) -> impl Iterator<Item = i32> {
        self.roots.iter().filter(|(_, guard)| *guard).map(|(pid, _)| *pid)
    }
}

/// The CPU time at one moment of every process that was ever seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CpuTimes {
    seen: HashMap<i32, Seen>,
    /// The time of the processes that had ended by then, as far as their parents waited for them.
    reaped: Duration,
}

/// A process that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    /// Its CPU time when it was last seen.
    cpu: Duration,
    /// Whether it has ended since.
    ended: bool,
}

impl CpuTimes {
    /// Reads the clocks of the processes that have been seen before, and notes which have ended. Some
    /// microseconds.
    pub(super) fn read(&mut self, tree: &ProcessTree) {
        for (pid, seen) in self.seen.iter_mut().filter(|(_, seen)| !seen.ended) {
            match usage::cpu_clock(*pid) {
                Some(now) => seen.cpu = now,
                None => seen.ended = true,
            }
        }
        let parents = self.pids().into_iter().chain(tree.guards());
        let reaped: Duration = parents.filter_map(usage::reaped_cpu_time).sum();
        // A parent that nobody waited for takes with it what it knew.
        self.reaped = self.reaped.max(reaped);
    }

    /// Looks for processes that have not been seen before, and reads their clocks.
    pub(super) fn look_for_more(&mut self, tree: &ProcessTree) {
        for pid in tree.pids() {
            if !self.seen.contains_key(&pid)
                && let Some(cpu) = usage::cpu_clock(pid)
            {
                self.seen.insert(pid, Seen { cpu, ended: false });
                self.reaped += usage::reaped_cpu_time(pid).unwrap_or_default();
            }
        }
    }

    /// The processes that are still there.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.seen.iter().filter(|(_, seen)| !seen.ended).map(|(pid, _)| *pid).collect()
    }

    /// Returns true if a process has ended since `earlier`, as far as anybody can know.
    pub(super) fn has_lost_any_since(&self, earlier: &CpuTimes) -> bool {
        self.reaped > earlier.reaped || self.ended_since(earlier).next().is_some()
    }

    fn ended_since(&self, earlier: &CpuTimes) -> impl Iterator<Item = (&i32, &Seen)> {
        let had_ended = |pid| earlier.seen.get(pid).is_some_and(|seen| seen.ended);
        self.seen.iter().filter(move |(pid, seen)| seen.ended && !had_ended(pid))
    }

    /// The CPU time used since `earlier`. The time of a process that ended in between is in that of its
    /// parent's children, and `None` where it is not: nobody waited for it, or its parent has ended too.
    pub(super) fn since(&self, earlier: &CpuTimes) -> Option<Duration> {
        let before = |pid: &i32| earlier.seen.get(pid).map(|seen| seen.cpu).unwrap_or_default();
        let reaped = self.reaped.saturating_sub(earlier.reaped);
        let known: Duration = self.ended_since(earlier).map(|(_, seen)| seen.cpu).sum();
        if known > reaped + TICKS * u32::try_from(self.seen.len()).unwrap_or(u32::MAX) {
            return None;
        }
        let running = self.seen.iter().filter(|(_, seen)| !seen.ended);
        let used: Duration = running.map(|(pid, now)| now.cpu.saturating_sub(before(pid))).sum();
        // A child's whole life is in its parent's account, what went before `earlier` too.
        let of_ended = self.ended_since(earlier).map(|(pid, _)| before(pid)).sum();
        Some(used + reaped.max(known).saturating_sub(of_ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::process::{Command, Stdio};

    const MS: Duration = Duration::from_millis(1);

    fn times(seen: &[(i32, u32)], reaped: u32, ended: &[i32]) -> CpuTimes {
        let one = |(pid, ms): &(i32, u32)| (*pid, Seen { cpu: *ms * MS, ended: ended.contains(pid) });
        CpuTimes { seen: seen.iter().map(one).collect(), reaped: reaped * MS }
    }

    #[test]
    fn processes_that_start_later_count_from_their_beginning() {
        let begin = times(&[(1, 100)], 0, &[]);
        assert_eq!(times(&[(1, 130)], 0, &[]).since(&begin), Some(30 * MS));
        assert_eq!(times(&[(1, 130), (2, 500)], 0, &[]).since(&begin), Some(530 * MS));
        assert_eq!(begin.since(&begin), Some(Duration::ZERO));
    }

    #[test]
    fn a_process_that_has_ended_counts_by_what_its_parent_says() {
        let begin = times(&[(1, 100), (2, 400)], 1000, &[]);
        // It used 600 ms in all, of which 400 before: its clock was last read at 550.
        let end = times(&[(1, 100), (2, 550)], 1600, &[2]);
        assert_eq!(end.since(&begin), Some(200 * MS));
        assert!(end.has_lost_any_since(&begin) && !end.has_lost_any_since(&end));
        // One that nobody saw: it came and went between two looks.
        let unseen = times(&[(1, 100), (2, 400)], 1070, &[]);
        assert_eq!((unseen.since(&begin), unseen.has_lost_any_since(&begin)), (Some(70 * MS), true));
        // What ended before the beginning is no part of it.
        assert_eq!(times(&[(1, 110), (2, 550)], 1600, &[2]).since(&end), Some(10 * MS));
    }

    #[test]
    fn a_process_that_ended_unseen_by_its_parent_leaves_the_figure_empty() {
        let begin = times(&[(1, 100), (2, 400)], 0, &[]);
        assert_eq!(times(&[(1, 130), (2, 400)], 0, &[2]).since(&begin), None);
        // It appeared after the beginning, and is gone at the end.
        assert_eq!(times(&[(1, 130), (2, 410), (3, 900)], 0, &[3]).since(&begin), None);
        // A child that hardly did anything is no reason: it is within the parent's ticks.
        assert_eq!(times(&[(1, 130), (2, 410), (3, 9)], 0, &[3]).since(&begin), Some(49 * MS));
    }

    #[test]
    fn a_tree_is_looked_at_anew_each_time() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & read end"]).stdin(Stdio::piped());
        let mut child = shell.spawn().expect("sh");
        let pid = i32::try_from(child.id()).expect("a pid");
        let (all, below) = (ProcessTree::of(pid), ProcessTree::guarded_by(pid));
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while below.pids().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(MS);
        }
        assert_eq!((all.pids().len(), below.pids().len()), (2, 1));
        let mut both = all.clone();
        both.add(&ProcessTree::of(nix::unistd::getpid().as_raw()));
        assert!(both.pids().len() >= 3 && !both.is_empty() && ProcessTree::default().is_empty());
        let sleep = below.pids()[0];
        kill(Pid::from_raw(sleep), Signal::SIGKILL).expect("ours");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
}
