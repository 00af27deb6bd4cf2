//! What some of the machine's CPUs did meanwhile, read from `/proc/stat`.
//!
//! Only the CPUs that a load may use are read: of 64 CPUs, three that others use are a small share of the
//! machine, and may be all that a server was given.

use super::cpus::Cpus;
use super::usage::TICK;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// A window shorter than that has too few ticks: one of them would be more than the 0.5% of a CPU's time
/// that the gate on steal allows.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// The time since the machine's start in which some task waited for a CPU: its run delay, of all CPUs together. `None`
/// where the kernel does not count it (`/proc/pressure`).
pub fn waited() -> Option<Duration> {
    total_of(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

fn total_of(pressure: &str) -> Option<Duration> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split_whitespace().find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// The counters of a set of CPUs at one moment, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTimes {
    idle: u64,
    steal: u64,
    cpus: u32,
}

/// What a set of CPUs did between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostUse {
    /// CPU time that was used by anybody on these CPUs.
    pub busy: Duration,
    /// CPU time that the hypervisor kept.
    pub steal: Duration,
    /// All the time of these CPUs.
    pub all: Duration,
}

impl HostTimes {
    /// Reads the counters of `cpus`; `None` if there are no CPUs in it, or one of them is not there.
    pub fn read(cpus: &Cpus) -> Option<HostTimes> {
        HostTimes::parse(&fs::read_to_string("/proc/stat").ok()?, cpus)
    }

    fn parse(stat: &str, cpus: &Cpus) -> Option<HostTimes> {
        let mut sum = HostTimes { idle: 0, steal: 0, cpus: 0 };
        // The first line has no number: the sum of all CPUs.
        for line in stat.lines().filter_map(|line| line.strip_prefix("cpu")) {
            let (number, times) = line.split_once(' ')?;
            if !number.parse().is_ok_and(|number| cpus.list().contains(&number)) {
                continue;
            }
            let times: Vec<u64> = times.split_whitespace().map_while(|n| n.parse().ok()).collect();
            let [_user, _nice, _system, idle, iowait, _irq, _softirq, steal, ..] = times[..] else {
                return None;
            };
            sum.idle += idle + iowait;
            sum.steal += steal;
            sum.cpus += 1;
        }
        (sum.cpus > 0 && sum.cpus as usize == cpus.list().len()).then_some(sum)
    }

    /// What was done since `earlier`, which is `wall` ago and of the same CPUs; `None` if that is too short
    /// to tell.
    pub fn since(&self, earlier: &HostTimes, wall: Duration) -> Option<HostUse> {
        if wall < SHORTEST {
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
    /// The hypervisor's part of these CPUs' time.
    pub fn steal_share(&self) -> f64 {
        self.steal.as_secs_f64() / self.all.as_secs_f64()
    }

    /// The part that anybody used.
    pub fn busy_share(&self) -> f64 {
        self.busy.as_secs_f64() / self.all.as_secs_f64()
    }

    /// The part that neither of `ours` used: 0 at the least, since the clocks are not read at once.
    pub fn other_share(&self, ours: Duration) -> f64 {
        self.busy.saturating_sub(ours).as_secs_f64() / self.all.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    /// A text of `/proc/stat` of 64 CPUs, `seconds` after they were all started: those of `busy` have never
    /// been idle, the hypervisor has kept a hundredth of CPU 5, and CPU 7 waits for a disk.
    fn stat(seconds: u64, busy: &[usize]) -> String {
        let cpu = |cpu: usize| {
            let ticks = seconds * 100;
            let steal = if cpu == 5 { ticks / 100 } else { 0 };
            let idle = if busy.contains(&cpu) { 0 } else { ticks - steal };
            let (idle, waiting) = if cpu == 7 { (0, idle) } else { (idle, 0) };
            format!("cpu{cpu} {} 0 0 {idle} {waiting} 0 0 {steal} 0 0\n", ticks - idle - waiting - steal)
        };
        let lines: String = (0..64).map(cpu).collect();
        format!("cpu  9 9 9 9 9 9 9 9 0 0\n{lines}intr 5\nctxt 9\n")
    }

    /// What `cpus` did in ten seconds while those of `busy` were busy.
    fn used(cpus: &[usize], busy: &[usize]) -> HostUse {
        let cpus = Cpus::new(cpus.iter().copied());
        let at = |seconds| HostTimes::parse(&stat(seconds, busy), &cpus).expect("64 CPUs");
        at(20).since(&at(10), TEN_SECONDS).expect("ten seconds")
    }

    #[test]
    fn three_busy_cpus_of_64_are_seen_where_they_matter() {
        let busy = [0, 1, 2];
        let server_and_client = used(&[0, 1, 2, 3], &busy);
        assert_eq!(server_and_client.all, 4 * TEN_SECONDS);
        assert_eq!(server_and_client.busy, 3 * TEN_SECONDS);
        assert!((server_and_client.busy_share() - 0.75).abs() < 1e-9);
        assert!((server_and_client.other_share(Duration::ZERO) - 0.75).abs() < 1e-9);
        assert!((server_and_client.other_share(2 * TEN_SECONDS) - 0.25).abs() < 1e-9);
        // Ours may be more by a little, since the clocks are not read at once.
        assert!(server_and_client.other_share(4 * TEN_SECONDS).abs() < 1e-9);
        // Of no concern to who was given other CPUs.
        assert_eq!(used(&[10, 11], &busy).busy, Duration::ZERO);
    }

    #[test]
    fn steal_is_that_of_the_cpus_that_are_used() {
        assert!((used(&[5], &[]).steal_share() - 0.01).abs() < 1e-9);
        assert!((used(&[4, 5], &[4]).steal_share() - 0.005).abs() < 1e-9);
        assert_eq!(used(&[6, 8], &[]).steal, Duration::ZERO);
        // What the hypervisor keeps nobody uses.
        assert_eq!(used(&[5], &[]).busy, Duration::ZERO);
    }

    #[test]
    fn the_run_delay_is_a_total_of_microseconds() {
        let text = "some avg10=16.53 avg60=12.13 avg300=9.34 total=1500000\nfull avg10=0.00 total=7\n";
        assert_eq!(total_of(text), Some(Duration::from_millis(1500)));
        assert_eq!(total_of("full total=7\n"), None);
    }

    #[test]
    fn a_cpu_that_waits_for_a_disk_is_not_busy() {
        assert_eq!(used(&[7, 9], &[9]).busy, TEN_SECONDS);
    }

    #[test]
    fn a_short_window_and_cpus_that_are_not_there_say_nothing() {
        let times = |cpus: &[usize]| HostTimes::parse(&stat(1, &[]), &Cpus::new(cpus.iter().copied()));
        let now = times(&[0]).expect("there");
        assert_eq!(now.since(&now, Duration::from_millis(999)), None);
        assert!(now.since(&now, SHORTEST).is_some());
        assert_eq!((times(&[]), times(&[63, 64])), (None, None));
        assert_eq!(HostTimes::parse("cpu  1 2 3\ncpu0 1 2 3\n", &Cpus::new([0])), None);
    }

    #[test]
    fn this_machine_s_times_can_be_read() {
        let now = HostTimes::read(&Cpus::allowed().expect("affinity")).expect("/proc/stat");
        assert!(now.cpus > 0);
        assert!(Cpus::online().list().len() >= now.cpus as usize);
    }
}
