//! What is expected of one schedule, to the request: the formulas hold for the mean of all schedules, and
//! a seed decides on one.

use super::formulas::lindley;
use load::schedule::{Arrival, Schedule};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;

/// The load of an open loop, from which everything follows. Times are in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) rate: f64,
    pub(super) arrival: Arrival,
    pub(super) seed: u64,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
}

/// How the oracle draws its service times.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    /// Always so long.
    Constant(f64),
    /// This mean, and its `--seed`.
    Exponential(f64, u64),
}

impl Load {
    /// Every intended start, those of the warm-up too.
    fn starts(&self) -> Vec<f64> {
        let end = (self.warmup + self.duration).as_nanos() as u64;
        let all = Schedule::new(self.rate, self.arrival, self.seed, 0, 1);
        all.take_while(|due| *due < end).map(|ns| ns as f64 / 1e9).collect()
    }

    fn measures(&self, start: f64) -> bool {
        let begin = self.warmup.as_secs_f64();
        (begin..begin + self.duration.as_secs_f64()).contains(&start)
    }

    /// How long each request that is due in the measured time is at a server with one queue.
    pub(super) fn sojourns(&self, service: Service) -> Sojourns {
        let starts = self.starts();
        let services = service.times(starts.len());
        let all = lindley(starts.iter().copied().zip(services));
        let mut counted: Vec<f64> =
            starts.iter().zip(all).filter(|(start, _)| self.measures(**start)).map(|(_, s)| s).collect();
        counted.sort_by(f64::total_cmp);
        Sojourns(counted)
    }

    /// How many requests are under way at a server that answers each after `delay`, averaged over the
    /// measured time.
    pub(super) fn in_flight(&self, delay: f64) -> f64 {
        let (begin, length) = (self.warmup.as_secs_f64(), self.duration.as_secs_f64());
        let under_way = |start: f64| f64::max(0.0, (start + delay).min(begin + length) - start.max(begin));
        self.starts().into_iter().map(under_way).sum::<f64>() / length
    }
}

impl Service {
    /// The oracle's own draws: by inversion, from ChaCha8.
    fn times(self, count: usize) -> Vec<f64> {
        match self {
            Service::Constant(time) => vec![time; count],
            Service::Exponential(mean, seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                (0..count).map(|_| -mean * (1.0 - rng.random::<f64>()).ln()).collect()
            }
        }
    }
}

/// Sojourns in order.
#[derive(Debug, Clone)]
pub(super) struct Sojourns(Vec<f64>);

impl Sojourns {
    /// Those of several schedules together.
    pub(super) fn of_all(all: impl Iterator<Item = Sojourns>) -> Sojourns {
        let mut sojourns: Vec<f64> = all.flat_map(|one| one.0).collect();
        sojourns.sort_by(f64::total_cmp);
        Sojourns(sojourns)
    }

    pub(super) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The value at the rank that a histogram of the same samples gives.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        let rank = (p * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stream_below_capacity_never_waits() {
        let load = Load {
            rate: 100.0,
            arrival: Arrival::Constant,
            seed: 0,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(2),
        };
        let sojourns = load.sojourns(Service::Constant(0.005));
        assert_eq!(sojourns.0.len(), 200);
        assert!((sojourns.mean() - 0.005).abs() < 1e-12 && (sojourns.quantile(1.0) - 0.005).abs() < 1e-12);
        assert!((load.in_flight(0.005) - 0.5).abs() < 1e-9);
    }
}
