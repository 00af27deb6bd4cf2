//! What a server has used: CPU time, peak memory, threads. Read where the kernel keeps it per process.

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::process::{Process, all_processes};
use std::fs;
use std::time::Duration;

/// The processes below `root`, at any depth, without `root` itself.
pub fn descendants(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all_processes()
        .into_iter()
        .flatten()
        .filter_map(|process| process.ok()?.stat().ok())
        .map(|stat| (stat.pid, stat.ppid))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, ppid)| *ppid == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// The CPU time of `pids` so far, user and system, all threads, dead ones too: the process's own CPU
/// clock, in nanoseconds where `/proc/PID/stat` has ticks of 10 ms. A process that has ended counts nothing.
pub fn cpu_time(pids: &[i32]) -> Duration {
    pids.iter()
        .filter_map(|pid| {
            let clock = clock_getcpuclockid(Pid::from_raw(*pid)).ok()?;
            clock_gettime(clock).ok().map(Duration::from)
        })
        .sum()
}

/// Makes the peak of resident memory start anew from what is resident now, in each of `pids`.
pub fn reset_peak_memory(pids: &[i32]) {
    for pid in pids {
        // Refused for another user's process: then the peak since its start is reported, which is no less.
        _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// The peak of resident memory since [`reset_peak_memory`], in bytes, summed over `pids`; `None` if it
/// cannot be read.
pub fn peak_memory(pids: &[i32]) -> Option<u64> {
    // VmHWM counts in KiB.
    pids.iter().map(|pid| Some(Process::new(*pid).ok()?.status().ok()?.vmhwm? * 1024)).sum()
}

/// How many threads `pids` have now.
pub fn threads(pids: &[i32]) -> Option<u64> {
    pids.iter().map(|pid| Process::new(*pid).ok()?.status().ok().map(|status| status.threads)).sum()
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
        nix::sys::signal::kill(Pid::from_raw(grandchildren[0]), nix::sys::signal::Signal::SIGKILL)
            .expect("ours");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
}
