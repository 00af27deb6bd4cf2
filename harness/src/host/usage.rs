//! What a server has used: CPU time, peak memory, threads. Read where the kernel keeps it per process.

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::process::Process;
use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The kernel counts in ticks of this length (`USER_HZ`), on every architecture Rust servers run on.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The processes below `root`, at any depth, without `root` itself.
pub fn descendants(root: i32) -> Vec<i32> {
    below(&[root])
}

/// The processes below any of `roots`, at any depth, without `roots` themselves.
pub fn below(roots: &[i32]) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    let parents: Vec<(i32, i32)> =
        pids.filter_map(|pid| Some((pid, stat_field(pid, PARENT)?.try_into().ok()?))).collect();
    let mut found = roots.to_vec();
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let below = parents.iter().filter(|(pid, ppid)| *ppid == parent && !roots.contains(pid));
        found.extend(below.map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(roots.len())
}

/// The places of fields of `/proc/PID/stat` after the name, which is in parentheses.
const PARENT: usize = 1;
const CHILDREN_USER: usize = 13;
const CHILDREN_SYSTEM: usize = 14;

/// One number of `/proc/PID/stat`.
fn stat_field(pid: i32, place: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, parentheses and blanks too.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(place)?.parse().ok()
}

/// The CPU time of the children of `pid`, and of theirs, that have ended and were waited for; in ticks of
/// 10 ms.
pub fn reaped_cpu_time(pid: i32) -> Option<Duration> {
    Some(TICK * u32::try_from(stat_field(pid, CHILDREN_USER)? + stat_field(pid, CHILDREN_SYSTEM)?).ok()?)
}

/// The CPU time of `pids` so far, user and system, all threads, dead ones too: the process's own CPU
/// clock, in nanoseconds where `/proc/PID/stat` has ticks of 10 ms. A process that has ended counts nothing.
pub fn cpu_time(pids: &[i32]) -> Duration {
    pids.iter().filter_map(|pid| cpu_clock(*pid)).sum()
}

/// The CPU time of one process, as in [`cpu_time`]; `None` if it has ended.
pub fn cpu_clock(pid: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

/// Makes the peak of resident memory start anew from what is resident now, in each of `pids`.
pub fn reset_peak_memory(pids: &[i32]) {
    for pid in pids {
        // Refused for another user's process: then the peak since its start is reported, which is no less.
        _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// The peak of resident memory since [`reset_peak_memory`], in bytes, added up over `pids`; `None` if one of
/// them cannot be read.
///
/// Of several processes, pages that they share would count in each: processes that are forked from one share
/// most of theirs. What such pages count too often is known for now only, and taken off the sum of the peaks;
/// it is too much by pages that strangers have too (libraries), but never are all together less than one.
pub fn peak_memory(pids: &[i32]) -> Option<u64> {
    let peaks = pids.iter().map(|pid| Process::new(*pid).ok()?.status().ok()?.vmhwm);
    let peaks: Vec<u64> = peaks.collect::<Option<_>>()?;
    let shared = match pids {
        [_] => 0,
        _ => pids.iter().map(|pid| counted_too_often(*pid)).sum::<Option<u64>>()?,
    };
    // The kernel counts in KiB.
    Some(peaks.iter().sum::<u64>().saturating_sub(shared).max(*peaks.iter().max()?) * 1024)
}

/// How much less the resident memory of `pid` is, in KiB, if each page counts only in part: a half if two
/// processes have it, and so on.
fn counted_too_often(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let of = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(of("Rss:")?.saturating_sub(of("Pss:")?))
}

/// How many threads `pids` have now; a process that has ended has none.
pub fn threads(pids: &[i32]) -> Option<u64> {
    let threads = |pid: &i32| Some(Process::new(*pid).ok()?.status().ok()?.threads);
    pids.iter().filter_map(threads).reduce(|sum, more| sum + more)
}

/// Returns true if no thread of `pids` runs, or could run if it were given a CPU.
pub fn are_asleep(pids: &[i32]) -> bool {
    thread_ids(pids).into_iter().all(|(pid, tid)| {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
        // The state follows the name, which may hold anything. A thread that has ended is asleep for good.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| !rest.starts_with(['R', 'D']))
    })
}

/// The threads of `pids` now, by their ids.
pub fn thread_ids(pids: &[i32]) -> Vec<(i32, i32)> {
    let ids = |pid: i32| {
        let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
        entries.filter_map(move |entry| Some((pid, entry.ok()?.file_name().to_str()?.parse().ok()?)))
    };
    pids.iter().flat_map(|pid| ids(*pid)).collect()
}

/// The context switches so far, voluntary or not, of each thread that `pids` have now.
///
/// Some tens of microseconds a thread: the kernel keeps no sum that another process than the parent could
/// read.
pub fn context_switches(pids: &[i32]) -> HashMap<i32, u64> {
    let of = |(pid, tid): (i32, i32)| {
        // A thread may end between the list and here.
        let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
        let of =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        Some((tid, of("voluntary_ctxt_switches:")? + of("nonvoluntary_ctxt_switches:")?))
    };
    thread_ids(pids).into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    fn own() -> [i32; 1] {
        [nix::unistd::getpid().as_raw()]
    }

    #[test]
    fn cpu_time_counts_work_and_not_sleep() {
        let before = cpu_time(&own());
        let start = Instant::now();
        let mut x = 1_u64;
        // Until the clock has moved: how long that takes is not asserted.
        while cpu_time(&own()) < before + Duration::from_millis(20) {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            assert!(start.elapsed() < Duration::from_secs(60), "{x}");
        }
    }

    #[test]
    fn memory_and_threads_of_this_process_can_be_read() {
        reset_peak_memory(&own());
        let before = peak_memory(&own()).expect("VmHWM");
        let touched = vec![1_u8; 32 << 20];
        let after = peak_memory(&own()).expect("VmHWM");
        assert!(after - before > 24 << 20, "{before} {after} {}", touched[touched.len() / 2]);
        let alone = threads(&own()).expect("threads");
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let extra = thread::spawn(move || _ = stopped.recv());
        assert!(threads(&own()).expect("threads") > alone.min(1));
        drop(stop);
        extra.join().expect("ends");
    }

    #[test]
    fn pages_that_processes_share_count_once() {
        // The same program and libraries in each, and next to nothing else.
        let mut children: Vec<_> =
            (0..4).map(|_| Command::new("sleep").arg("60").spawn().expect("sleep")).collect();
        let pids: Vec<i32> = children.iter().map(|child| child.id().cast_signed()).collect();
        let alone: Vec<u64> = pids.iter().map(|pid| peak_memory(&[*pid]).expect("VmHWM")).collect();
        let together = peak_memory(&pids).expect("VmHWM and PSS");
        assert!(together < alone.iter().sum::<u64>(), "{together} {alone:?}");
        assert!(alone.iter().all(|one| together >= *one), "{together} {alone:?}");
        for child in &mut children {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
        assert_eq!(peak_memory(&pids), None);
    }

    #[test]
    fn the_context_switches_of_all_threads_are_counted() {
        let naps = thread::spawn(|| {
            (0..20).for_each(|_| thread::sleep(Duration::from_millis(1)));
            (nix::unistd::gettid().as_raw(), context_switches(&own()))
        });
        let (tid, switches) = naps.join().expect("ends");
        assert!(switches[&tid] >= 20, "{switches:?}");
        assert!(switches.len() > 1, "this thread's too: {switches:?}");
        assert!(context_switches(&[]).is_empty());
        assert!(thread_ids(&own()).contains(&(own()[0], nix::unistd::gettid().as_raw())));
    }

    #[test]
    fn children_of_children_are_found() {
        let mut child = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().expect("sh");
        let pid = i32::try_from(child.id()).expect("a pid");
        let deadline = Instant::now() + Duration::from_secs(20);
        while descendants(pid).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let grandchildren = descendants(pid);
        assert_eq!(grandchildren.len(), 1);
        assert!(descendants(own()[0]).contains(&grandchildren[0]));
        assert_eq!(below(&[own()[0], pid, grandchildren[0]]), Vec::<i32>::new());
        nix::sys::signal::kill(Pid::from_raw(grandchildren[0]), nix::sys::signal::Signal::SIGKILL)
            .expect("ours");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
}
