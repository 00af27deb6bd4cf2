//! What a request and a connection cost on top of their answers: known CPU, known memory.

use crate::clock;
use std::time::Duration;

/// CPU that is burnt for every request, by the thread's own clock: being preempted costs nothing.
#[derive(Debug)]
pub(crate) struct Burn {
    /// Nanoseconds a request.
    each: u64,
    /// How far the last burn went beyond its goal, in nanoseconds. The next one is as much shorter, so that
    /// the mean is exact and not a reading of the clock too long.
    excess: u64,
}

impl Burn {
    pub(crate) fn new(each: Duration) -> Burn {
        Burn { each: crate::law::nanos(each), excess: 0 }
    }

    pub(crate) fn burn(&mut self) {
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
        let mut burn = Burn::new(each);
        let before = clock::thread_cpu();
        for _ in 0..requests {
            burn.burn();
        }
        let used = clock::thread_cpu() - before;
        assert!(used + burn.excess >= requests * 50_000, "{used} ns");
    }

    #[test]
    fn nothing_is_burnt_unasked() {
        let mut burn = Burn::new(Duration::ZERO);
        burn.burn();
        assert_eq!(burn.excess, 0);
    }
}
