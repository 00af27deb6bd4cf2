//! What the whole machine did meanwhile, read from `/proc/stat`.

use std::fs;
use std::time::Duration;

/// The kernel counts in ticks of this length (`USER_HZ`), on every architecture Rust servers run on.
const TICK: Duration = Duration::from_millis(10);

/// A window shorter than that has too few ticks: one of them would be more than the 0.5% of a CPU's time
/// that the gate on steal allows.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// The machine's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTimes {
    idle: u64,
    steal: u64,
    cpus: u32,
}

/// What the machine's CPUs did between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostUse {
    /// CPU time that was used by anybody on this machine.
    pub busy: Duration,
    /// CPU time that the hypervisor kept.
    pub steal: Duration,
    /// All CPUs' time.
    pub all: Duration,
}

impl HostTimes {
    /// Reads them; `None` where there is no such file.
    pub fn read() -> Option<HostTimes> {
        HostTimes::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<HostTimes> {
        let mut lines = stat.lines();
        let sum: Vec<u64> =
            lines.next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let [_user, _nice, _system, idle, iowait, _irq, _softirq, steal, ..] = sum[..] else { return None };
        let cpus = lines.take_while(|line| line.starts_with("cpu")).count();
        Some(HostTimes { idle: idle + iowait, steal, cpus: u32::try_from(cpus).ok()? })
    }

    /// What was done since `earlier`, which is `wall` ago; `None` if that is too short to tell, or if CPUs
    /// came or went.
    pub fn since(&self, earlier: &HostTimes, wall: Duration) -> Option<HostUse> {
        if wall < SHORTEST || self.cpus != earlier.cpus || self.cpus == 0 {
            return None;
        }
        let ticks = |now: u64, then: u64| {
            Duration::from_secs_f64(now.saturating_sub(then) as f64 * TICK.as_secs_f64())
        };
        let all = wall * self.cpus;
        let steal = ticks(self.steal, earlier.steal);
        // The kernel measures idle time to the nanosecond, but samples who is running only at its timer's
        // ticks, so that what is not idle is more exact than the sum of user, system and the rest.
        let busy = all.saturating_sub(ticks(self.idle, earlier.idle)).saturating_sub(steal);
        Some(HostUse { busy, steal, all })
    }
}

impl HostUse {
    /// The hypervisor's part of all CPUs' time.
    pub fn steal_share(&self) -> f64 {
        self.steal.as_secs_f64() / self.all.as_secs_f64()
    }

    /// The part that neither of `ours` used: 0 at the least, since the clocks are not read at once.
    pub fn other_share(&self, ours: Duration) -> f64 {
        self.busy.saturating_sub(ours).as_secs_f64() / self.all.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(idle: u64, iowait: u64, steal: u64) -> HostTimes {
        let text = format!(
            "cpu  5 6 7 {idle} {iowait} 1 2 {steal} 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\n\
             intr 5\nctxt 9\n"
        );
        HostTimes::parse(&text).expect("valid")
    }

    #[test]
    fn shares_are_of_all_cpus_time() {
        // Two CPUs for 10 s: 13 s idle, 1 s waiting for disks, 0.2 s stolen, and so 5.8 s used.
        let used = stat(1400, 150, 25).since(&stat(100, 50, 5), Duration::from_secs(10)).expect("10 s");
        assert_eq!(used.busy, Duration::from_millis(5800));
        assert!((used.steal_share() - 0.01).abs() < 1e-9);
        assert!((used.other_share(Duration::from_secs(5)) - 0.04).abs() < 1e-9);
        assert!(used.other_share(Duration::from_secs(6)).abs() < 1e-9);
    }

    #[test]
    fn a_short_window_says_nothing() {
        let (before, after) = (stat(0, 0, 0), stat(10, 0, 0));
        assert_eq!(after.since(&before, Duration::from_millis(999)), None);
        assert!(after.since(&before, SHORTEST).is_some());
        assert_eq!(HostTimes::parse("cpu  1 2 3\ncpu0 1 2 3\n"), None);
    }

    #[test]
    fn this_machine_s_times_can_be_read() {
        let now = HostTimes::read().expect("/proc/stat");
        assert!(now.idle > 0 && now.cpus > 0);
    }
}
