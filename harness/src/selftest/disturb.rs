//! What is done to a replicate from outside while it runs: its client is stopped, its server is killed, its
//! CPU is taken.

use crate::host::cpus::Cpus;
use crate::host::usage::descendants;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use procfs::process::Process;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How often it is looked whether a process is there yet, or the replicate is over.
const LOOK: Duration = Duration::from_millis(2);

/// What to do. Times count from when the replicate's client is there, which starts some tens of
/// milliseconds before its load.
#[derive(Debug, Clone)]
pub(super) enum Disturbance {
    /// Stop the client for `length` in every `period`, at first after `first`.
    StopClient {
        /// Until the first stop.
        first: Duration,
        /// How long each lasts.
        length: Duration,
        /// From one stop to the next.
        period: Duration,
    },
    /// Kill the server after a time.
    KillServer(Duration),
    /// Compute on these CPUs.
    TakeCpus(Cpus),
}

/// Does `work` while it is disturbed.
pub(super) fn during<T>(disturbance: Option<&Disturbance>, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some(disturbance) = disturbance {
            scope.spawn(|| disturb(disturbance, &over));
        }
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    })
}

fn disturb(disturbance: &Disturbance, over: &AtomicBool) {
    let start = |is: fn(&[String]) -> bool| find(is, over).map(|pid| (pid, Instant::now()));
    match disturbance {
        Disturbance::StopClient { first, length, period } => {
            let Some((pid, start)) = start(is_client) else { return };
            let mut next = start + *first;
            while wait_until(next, over) {
                _ = kill(pid, Signal::SIGSTOP);
                // Not cut short: it must go on afterwards, whatever else is over.
                sleep((next + *length).saturating_duration_since(Instant::now()));
                _ = kill(pid, Signal::SIGCONT);
                next += *period;
            }
        }
        Disturbance::KillServer(after) => {
            let Some((_, start)) = start(is_client) else { return };
            if wait_until(start + *after, over)
                && let Some(pid) = find(is_oracle, over)
            {
                _ = kill(pid, Signal::SIGKILL);
            }
        }
        Disturbance::TakeCpus(cpus) => thread::scope(|scope| {
            for cpu in cpus.list() {
                scope.spawn(|| {
                    // Where it may not, it computes on any other.
                    _ = Cpus::new([*cpu]).pin_this_thread();
                    let mut x = 1_u64;
                    while !over.load(Ordering::Relaxed) {
                        for _ in 0..100_000 {
                            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                        }
                    }
                });
            }
        }),
    }
}

/// Waits for an instant; false if the replicate is over before.
fn wait_until(instant: Instant, over: &AtomicBool) -> bool {
    loop {
        if over.load(Ordering::Relaxed) {
            return false;
        }
        match instant.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return true,
            left => sleep(left.min(LOOK)),
        }
    }
}

/// The process below this one with such a command line, as soon as there is one.
fn find(is: fn(&[String]) -> bool, over: &AtomicBool) -> Option<Pid> {
    while !over.load(Ordering::Relaxed) {
        let children = descendants(getpid().as_raw());
        let found = children.into_iter().find(|pid| {
            Process::new(*pid).and_then(|process| process.cmdline()).is_ok_and(|words| is(&words))
        });
        match found {
            Some(pid) => return Some(Pid::from_raw(pid)),
            None => sleep(LOOK),
        }
    }
    None
}

fn is_client(words: &[String]) -> bool {
    words.get(1).is_some_and(|word| word == "client")
}

fn is_oracle(words: &[String]) -> bool {
    words.first().is_some_and(|program| program.contains("rt-oracle"))
}
