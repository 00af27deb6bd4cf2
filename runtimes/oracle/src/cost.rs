//! What a request and a connection cost on top of their answers: known CPU, known memory.

use crate::arguments::AfterIdle;
use crate::clock;
use std::time::Duration;

/// CPU that is burnt for every request, by the thread's own clock: being preempted costs nothing.
#[derive(Debug)]
pub(crate) struct Burn {
    /// Nanoseconds a request.
    each: u64,
    /// Nanoseconds a request from one of this number on.
    later: Option<(u64, u64)>,
    /// What is burnt besides after nothing was asked for long enough.
    after_idle: Option<AfterIdle>,
    /// When the last request came, and until when requests cost more, in nanoseconds.
    last: u64,
    dear_until: u64,
    /// How far the last burn went beyond its goal, in nanoseconds. The next one is as much shorter, so that
    /// the mean is exact and not a reading of the clock too long.
    excess: u64,
}

impl Burn {
    pub(crate) fn new(each: Duration, later: Option<(Duration, u64)>, after_idle: Option<AfterIdle>) -> Burn {
        let later = later.map(|(each, number)| (crate::law::nanos(each), number));
        Burn { each: crate::law::nanos(each), later, after_idle, last: 0, dear_until: 0, excess: 0 }
    }

    /// What a request at `now` costs more for what went before it, in nanoseconds.
    fn more_at(&mut self, now: u64) -> u64 {
        let Some(AfterIdle { more, length, idle }) = self.after_idle else { return 0 };
        if now.saturating_sub(self.last) >= crate::law::nanos(idle) {
            self.dear_until = now + crate::law::nanos(length);
        }
        self.last = now;
        if now < self.dear_until { crate::law::nanos(more) } else { 0 }
    }

    /// Burns what the request of this number costs.
    pub(crate) fn burn(&mut self, number: u64) {
        if let Some((each, _)) = self.later.filter(|(_, from)| number >= *from) {
            (self.each, self.later) = (each, None);
        }
        let each = self.each + self.more_at(clock::now());
        if each == 0 {
            return;
        }
        if self.excess >= each {
            self.excess -= each;
            return;
        }
        let goal = clock::thread_cpu() + each - self.excess;
        loop {
            let now = clock::thread_cpu();
            if now >= goal {
                self.excess = now - goal;
                return;
            }
        }
    }
}

/// Executes this many instructions, or one less if their number is odd, and two or three around them.
#[expect(unsafe_code, reason = "only in assembly is the number of instructions known")]
pub(crate) fn execute(instructions: u64) {
    // Two instructions a round.
    let rounds = instructions / 2;
    if rounds == 0 {
        return;
    }
    // SAFETY: the loop counts a register down to zero. It touches no memory and no stack.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("2:", "dec {0}", "jnz 2b", inout(reg) rounds => _, options(nomem, nostack));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("2:", "subs {0}, {0}, #1", "b.ne 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}

/// So many bytes, every one of them written.
pub(crate) fn touched(bytes: usize) -> Vec<u8> {
    // Anything but zero, which the allocator could have without writing.
    vec![0xA5; bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burn_is_cpu_time_and_adds_up() {
        let (requests, each) = (200, Duration::from_micros(50));
        let mut burn = Burn::new(each, None, None);
        let before = clock::thread_cpu();
        for number in 1..=requests {
            burn.burn(number);
        }
        let used = clock::thread_cpu() - before;
        assert!(used + burn.excess >= requests * 50_000, "{used} ns");
    }

    #[test]
    fn nothing_is_burnt_unasked() {
        let mut burn = Burn::new(Duration::ZERO, None, None);
        burn.burn(1);
        assert_eq!(burn.excess, 0);
    }

    #[test]
    fn a_later_burn_begins_with_its_request() {
        let later = Duration::from_micros(300);
        let mut burn = Burn::new(Duration::ZERO, Some((later, 3)), None);
        burn.burn(1);
        burn.burn(2);
        assert_eq!(burn.each, 0);
        let before = clock::thread_cpu();
        burn.burn(3);
        assert!(clock::thread_cpu() - before >= 300_000);
        assert_eq!((burn.each, burn.later), (300_000, None));
    }

    #[test]
    fn a_request_costs_more_for_some_time_after_nothing_was_asked() {
        const MS: u64 = 1_000_000;
        let after_idle = AfterIdle {
            more: Duration::from_micros(50),
            length: Duration::from_millis(200),
            idle: Duration::from_millis(20),
        };
        let mut burn = Burn::new(Duration::ZERO, None, Some(after_idle));
        let more = |burn: &mut Burn, ms: u64| burn.more_at(ms * MS) / 1000;
        // From the first one on, until nothing has been asked for 20 ms again.
        assert_eq!([1000, 1010, 1029, 1199].map(|ms| more(&mut burn, ms)), [50, 50, 50, 50]);
        let mut steady = Burn::new(Duration::ZERO, None, Some(after_idle));
        let dear: Vec<u64> = (0..40).map(|k| more(&mut steady, 1000 + 10 * k)).collect();
        assert!(dear[..20].iter().all(|us| *us == 50) && dear[20..].iter().all(|us| *us == 0), "{dear:?}");
        assert_eq!(more(&mut steady, 1390 + 20), 50);
    }
}
