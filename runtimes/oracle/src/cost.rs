//! What a request and a connection cost on top of their answers: known CPU, known memory.

use crate::clock;
use std::time::Duration;

/// CPU that is burnt for every request, by the thread's own clock: being preempted costs nothing.
#[derive(Debug)]
pub(crate) struct Burn {
    /// Nanoseconds a request.
    each: u64,
    /// Nanoseconds a request from one of this number on.
    later: Option<(u64, u64)>,
    /// How far the last burn went beyond its goal, in nanoseconds. The next one is as much shorter, so that
    /// the mean is exact and not a reading of the clock too long.
    excess: u64,
}

impl Burn {
    pub(crate) fn new(each: Duration, later: Option<(Duration, u64)>) -> Burn {
        let later = later.map(|(each, number)| (crate::law::nanos(each), number));
        Burn { each: crate::law::nanos(each), later, excess: 0 }
    }

    /// Burns what the request of this number costs.
    pub(crate) fn burn(&mut self, number: u64) {
        if let Some((each, _)) = self.later.filter(|(_, from)| number >= *from) {
            (self.each, self.later) = (each, None);
        }
        if self.each == 0 {
            return;
        }
        if self.excess >= self.each {
            self.excess -= self.each;
            return;
        }
        let goal = clock::thread_cpu() + self.each - self.excess;
        loop {
            let now = clock::thread_cpu();
            if now >= goal {
                self.excess = now - goal;
                return;
            }
        }
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
        let mut burn = Burn::new(each, None);
        let before = clock::thread_cpu();
        for number in 1..=requests {
            burn.burn(number);
        }
        let used = clock::thread_cpu() - before;
        assert!(used + burn.excess >= requests * 50_000, "{used} ns");
    }

    #[test]
    fn nothing_is_burnt_unasked() {
        let mut burn = Burn::new(Duration::ZERO, None);
        burn.burn(1);
        assert_eq!(burn.excess, 0);
    }

    #[test]
    fn a_later_burn_begins_with_its_request() {
        let later = Duration::from_micros(300);
        let mut burn = Burn::new(Duration::ZERO, Some((later, 3)));
        burn.burn(1);
        burn.burn(2);
        assert_eq!(burn.each, 0);
        let before = clock::thread_cpu();
        burn.burn(3);
        assert!(clock::thread_cpu() - before >= 300_000);
        assert_eq!((burn.each, burn.later), (300_000, None));
    }
}
