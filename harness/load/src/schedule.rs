//! When each request is due: fixed before the run, and moved by nothing.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// How intended starts are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// The same gap between any two.
    #[default]
    Constant,
    /// Exponential gaps: as many independent users make.
    Poisson,
}

impl Arrival {
    /// Its name on the command line and in result files.
    pub fn name(self) -> &'static str {
        match self {
            Arrival::Constant => "constant",
            Arrival::Poisson => "poisson",
        }
    }
}

/// The intended starts of one worker's share of the requests, in nanoseconds from the schedule's
/// beginning, in order, without end.
///
/// Every worker draws the whole schedule and keeps each `of`-th start, so that the sum over all workers
/// is the same schedule however many there are.
#[derive(Debug)]
pub struct Schedule {
    gaps: Gaps,
    share: usize,
    of: usize,
    next: usize,
}

#[derive(Debug)]
enum Gaps {
    Constant { rate: f64 },
    Poisson { rate: f64, rng: Box<ChaCha8Rng>, at_s: f64 },
}

impl Schedule {
    /// The share `share` of `of` of the schedule that `rate` (per second), `arrival` and `seed` give.
    pub fn new(rate: f64, arrival: Arrival, seed: u64, share: usize, of: usize) -> Schedule {
        let gaps = match arrival {
            Arrival::Constant => Gaps::Constant { rate },
            Arrival::Poisson => {
                Gaps::Poisson { rate, rng: Box::new(ChaCha8Rng::seed_from_u64(seed)), at_s: 0.0 }
            }
        };
        Schedule { gaps, share, of, next: 0 }
    }

    fn draw(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        let seconds = match &mut self.gaps {
            Gaps::Constant { rate } => index as f64 / *rate,
            Gaps::Poisson { rate, rng, at_s } => {
                // 1 − u is never 0, so its logarithm is finite.
                let u: f64 = rng.random();
                *at_s -= (1.0 - u).ln() / *rate;
                *at_s
            }
        };
        (seconds * 1e9) as u64
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let mine = self.next % self.of == self.share;
            let at = self.draw();
            if mine {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_starts_do_not_drift() {
        let start = Schedule::new(3.0, Arrival::Constant, 0, 0, 1).nth(3_000_000).expect("no end");
        assert_eq!(start, 1_000_000_000_000_000);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for arrival in [Arrival::Constant, Arrival::Poisson] {
            let whole: Vec<u64> = Schedule::new(1000.0, arrival, 7, 0, 1).take(3000).collect();
            let mut shares: Vec<u64> =
                (0..3).flat_map(|share| Schedule::new(1000.0, arrival, 7, share, 3).take(1000)).collect();
            shares.sort_unstable();
            assert_eq!(shares, whole);
        }
    }

    #[test]
    fn poisson_gaps_are_exponential_and_the_seed_decides_them() {
        let starts: Vec<u64> = Schedule::new(500.0, Arrival::Poisson, 1, 0, 1).take(20_000).collect();
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let longer = gaps.iter().filter(|gap| **gap > 2.0).count() as f64 / gaps.len() as f64;
        // Mean 2 ms, standard error 0.7%; a share of 1/e is longer than the mean, standard error 0.9%.
        assert!((mean - 2.0).abs() < 0.06, "{mean}");
        assert!((longer - (-1.0_f64).exp()).abs() < 0.014, "{longer}");
        assert_eq!(starts[..5], Schedule::new(500.0, Arrival::Poisson, 1, 0, 1).take(5).collect::<Vec<_>>());
        assert_ne!(starts[0], Schedule::new(500.0, Arrival::Poisson, 2, 0, 1).next().expect("no end"));
    }
}
