//! Virtual time: when each request is answered, from when it arrived. Pure arithmetic, without a clock.
//!
//! Instants are nanoseconds of any one clock. Three laws apply in turn, all of them exact:
//!
//! - **Service.** Request n takes S(n): nothing, a constant, or an exponential time from a seeded
//!   generator, drawn in the order of arrival.
//! - **Queue.** k servers behind one first-come-first-served queue (G/G/k; Kiefer and Wolfowitz 1955):
//!   request n starts at max(arrival(n), the earliest instant at which one of the k is free) and departs
//!   S(n) later. For k = 1 that is Lindley's recursion, departure(n) = max(arrival(n), departure(n−1)) +
//!   S(n). Without servers to wait for (k = ∞) it is arrival(n) + S(n).
//! - **Stall.** For L in every period P all work stands still, as if the process were stopped. What
//!   arrives within a stall begins at its end; what was under way is answered L later; nothing departs
//!   within one. A stall lasts from its first instant up to, and without, its last.

use crate::arguments::{Arguments, Distribution, StallPlan};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// All laws of one run, and what they have to remember.
#[derive(Debug)]
pub(crate) struct Law {
    service: Service,
    queue: Queue,
    stall: Option<Stall>,
}

impl Law {
    pub(crate) fn new(arguments: &Arguments) -> Law {
        Law {
            service: Service::new(arguments.service, arguments.seed.unwrap_or(1)),
            queue: Queue::new(arguments.servers),
            stall: arguments.stall.map(Stall::new),
        }
    }

    /// Whether every request departs the moment it arrives.
    pub(crate) fn is_immediate(&self) -> bool {
        matches!(self.service, Service::None) && self.stall.is_none()
    }

    /// When the request that arrives at `arrival` departs. Arrivals come in order.
    pub(crate) fn departure(&mut self, arrival: u64) -> u64 {
        let service = self.service.draw();
        let Some(stall) = &mut self.stall else { return self.queue.departure(arrival, service) };
        let open = stall.open_until(arrival);
        stall.instant(self.queue.departure(open, service))
    }
}

/// S(n).
#[derive(Debug)]
enum Service {
    None,
    Constant(u64),
    /// The mean, in nanoseconds.
    Exponential(f64, Box<ChaCha8Rng>),
}

impl Service {
    fn new(distribution: Distribution, seed: u64) -> Service {
        match distribution {
            Distribution::None => Service::None,
            Distribution::Constant(time) => Service::Constant(nanos(time)),
            Distribution::Exponential(mean) => {
                Service::Exponential(nanos(mean) as f64, Box::new(ChaCha8Rng::seed_from_u64(seed)))
            }
        }
    }

    fn draw(&mut self) -> u64 {
        match self {
            Service::None => 0,
            Service::Constant(time) => *time,
            // By inversion: 1 − u is in (0, 1], so the logarithm is finite.
            Service::Exponential(mean, rng) => (-*mean * (1.0 - rng.random::<f64>()).ln()).round() as u64,
        }
    }
}

/// When each of the k servers is free again; `None` where nobody waits.
#[derive(Debug)]
struct Queue(Option<BinaryHeap<Reverse<u64>>>);

impl Queue {
    /// `servers` = 0 is a queue without servers to wait for.
    fn new(servers: usize) -> Queue {
        Queue((servers > 0).then(|| std::iter::repeat_n(Reverse(0), servers).collect()))
    }

    fn departure(&mut self, arrival: u64, service: u64) -> u64 {
        // The servers' number never changes, so one is always there.
        let free = self.0.as_mut().and_then(BinaryHeap::peek_mut);
        let Some(mut free) = free else { return arrival + service };
        free.0 = free.0.max(arrival) + service;
        free.0
    }
}

/// The two clocks of a stalled server: the wall's, and one that runs only while the server is open.
#[derive(Debug)]
struct Stall {
    length: u64,
    period: u64,
    phase: u64,
    /// The first arrival, from which the periods count.
    anchor: Option<u64>,
}

impl Stall {
    fn new(plan: StallPlan) -> Stall {
        Stall {
            length: nanos(plan.length),
            period: nanos(plan.period),
            phase: nanos(plan.phase),
            anchor: None,
        }
    }

    /// How long the server was open from the first arrival until `instant`.
    fn open_until(&mut self, instant: u64) -> u64 {
        let since = instant - *self.anchor.get_or_insert(instant);
        let (periods, within) = (since / self.period, since % self.period);
        let before = within.min(self.phase);
        let after = within.saturating_sub(self.phase + self.length);
        periods * (self.period - self.length) + before + after
    }

    /// The instant at which the server has been open for `open`: the later one, where a stall leaves a choice.
    fn instant(&self, open: u64) -> u64 {
        let work = self.period - self.length;
        let (periods, within) = (open / work, open % work);
        let stalled = if within < self.phase { 0 } else { self.length };
        self.anchor.unwrap_or(0) + periods * self.period + within + stalled
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds, for sequences that a reader can follow.
    const MS: u64 = 1_000_000;

    fn law(distribution: Distribution, servers: usize, stall: Option<StallPlan>) -> Law {
        Law {
            service: Service::new(distribution, 1),
            queue: Queue::new(servers),
            stall: stall.map(Stall::new),
        }
    }

    fn constant(ms: u64) -> Distribution {
        Distribution::Constant(Duration::from_millis(ms))
    }

    fn departures(mut law: Law, arrivals_ms: &[u64]) -> Vec<u64> {
        arrivals_ms.iter().map(|ms| law.departure(ms * MS) / MS).collect()
    }

    fn plan(length_ms: u64, period_ms: u64, phase_ms: u64) -> StallPlan {
        StallPlan {
            length: Duration::from_millis(length_ms),
            period: Duration::from_millis(period_ms),
            phase: Duration::from_millis(phase_ms),
        }
    }

    #[test]
    fn one_server_works_the_queue_off_in_order() {
        // At 7 the server has been free since 6: the queue starts anew.
        let arrivals = [0, 1, 1, 7, 8, 20];
        assert_eq!(departures(law(constant(2), 1, None), &arrivals), [2, 4, 6, 9, 11, 22]);
    }

    #[test]
    fn k_servers_share_one_queue() {
        // Four at once on two servers: two now, two after them; the fifth takes the one that is free at 6.
        assert_eq!(departures(law(constant(3), 2, None), &[0, 0, 0, 0, 4]), [3, 3, 6, 6, 9]);
        // Sixteen on four, 50 ms: four rounds of four. X = 4/0.05 = 80/s.
        let rounds = departures(law(constant(50), 4, None), &[0; 16]);
        assert_eq!(rounds, [[50; 4], [100; 4], [150; 4], [200; 4]].concat());
    }

    #[test]
    fn without_servers_nobody_waits() {
        assert_eq!(departures(law(constant(20), 0, None), &[0, 0, 1, 5]), [20, 20, 21, 25]);
    }

    #[test]
    fn no_service_is_no_delay() {
        let law = law(Distribution::None, 1, None);
        assert!(law.is_immediate());
        assert_eq!(departures(law, &[3, 3, 9]), [3, 3, 9]);
    }

    #[test]
    fn exponential_service_has_its_mean_and_follows_its_seed() {
        let draws = |seed| {
            let mut service = Service::new(Distribution::Exponential(Duration::from_millis(2)), seed);
            (0..100_000).map(move |_| service.draw()).collect::<Vec<_>>()
        };
        let (first, again, other) = (draws(7), draws(7), draws(8));
        assert_eq!(first, again);
        assert_ne!(first, other);
        // Of 100 000 draws the mean is 2 ms with a standard error of 0.3%, and e^−1 of them are above it.
        let mean = first.iter().sum::<u64>() as f64 / first.len() as f64;
        assert!((mean / 2e6 - 1.0).abs() < 0.015, "{mean}");
        let above = first.iter().filter(|draw| **draw > 2_000_000).count() as f64 / first.len() as f64;
        assert!((above - (-1.0f64).exp()).abs() < 0.008, "{above}");
    }

    #[test]
    fn what_arrives_in_a_stall_is_answered_at_its_end() {
        // Stalls at [4, 5), [14, 15) … after the first arrival, which is at 100.
        let arrivals = [100, 103, 104, 105, 106, 113, 114, 124, 125];
        let expected = [100, 103, 105, 105, 106, 113, 115, 125, 125];
        assert_eq!(departures(law(Distribution::None, 1, Some(plan(1, 10, 4))), &arrivals), expected);
    }

    #[test]
    fn work_under_way_stands_still_in_a_stall() {
        // 3 ms of work from 98 on: 2 ms until the stall at 100, 1 ms after its end at 105. The next is 1 ms
        // of waiting and 3 of work later.
        let law = law(constant(3), 1, Some(plan(5, 100, 100 - 5)));
        assert_eq!(departures(law, &[5, 98, 98, 104]), [8, 106, 109, 112]);
    }

    #[test]
    fn a_stall_may_stand_at_either_end_of_the_period() {
        let at = |phase| {
            departures(law(Distribution::None, 1, Some(plan(2, 10, phase))), &[0, 1, 2, 8, 9, 10, 11])
        };
        assert_eq!(at(0), [2, 2, 2, 8, 9, 12, 12]);
        assert_eq!(at(8), [0, 1, 2, 10, 10, 10, 11]);
    }

    #[test]
    fn a_tenth_of_a_steady_stream_meets_the_stall_evenly() {
        // K4: 1 s in every 10 s at 100/s, two periods.
        let mut law = law(Distribution::None, 1, Some(plan(1000, 10_000, 4505)));
        let mut waits: Vec<u64> = (0..2000u64).map(|k| law.departure(k * 10 * MS) / MS - k * 10).collect();
        waits.sort_unstable();
        assert_eq!(waits.iter().filter(|wait| **wait > 0).count(), 200);
        let rank = |p: f64| waits[(p * 2000.0) as usize - 1];
        assert_eq!((rank(0.90), rank(0.95), rank(0.99), rank(0.999)), (0, 495, 895, 985));
        assert_eq!(waits.iter().sum::<u64>() / 2000, 50);
    }
}
