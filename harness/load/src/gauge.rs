//! How many requests are under way, averaged over time: counted, not summed up from their latencies, so
//! that the two can be held against each other (Little's law).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A count, and its integral over time.
#[derive(Debug)]
pub(super) struct Gauge(Mutex<State>);

#[derive(Debug)]
struct State {
    under_way: u32,
    since: Instant,
    /// Requests × seconds.
    sum: f64,
}

impl Gauge {
    pub(super) fn new() -> Gauge {
        Gauge(Mutex::new(State { under_way: 0, since: Instant::now(), sum: 0.0 }))
    }

    /// A request is under way until the guard is dropped.
    pub(super) fn enter(&self) -> UnderWay<'_> {
        let mut state = self.lock();
        state.add_up();
        state.under_way += 1;
        UnderWay(self)
    }

    /// The average over `elapsed`, in which all that was counted happened; `None` over no time.
    pub(super) fn mean(&self, elapsed: Duration) -> Option<f64> {
        let seconds = elapsed.as_secs_f64();
        (seconds > 0.0).then(|| self.lock().sum / seconds)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_up(&mut self) {
        let now = Instant::now();
        self.sum += f64::from(self.under_way) * now.duration_since(self.since).as_secs_f64();
        self.since = now;
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Gauge);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.add_up();
        state.under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn two_requests_half_of_the_time_are_one_on_average() {
        let gauge = Gauge::new();
        let start = Instant::now();
        let both = (gauge.enter(), gauge.enter());
        thread::sleep(Duration::from_millis(20));
        drop(both);
        let busy = start.elapsed();
        let mean = gauge.mean(busy * 2).expect("time has passed");
        // Between the stamps of the gauge and those of the test lie a few instructions, or a preemption.
        assert!(mean > 0.5 && mean <= 1.0, "{mean}");
        assert_eq!(gauge.mean(Duration::ZERO), None);
    }
}
