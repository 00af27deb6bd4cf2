//! When each request is due: fixed before the run, and moved by nothing.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How intended starts are spaced.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
        self.into()
    }
}

/// The intended starts of one worker's share of the requests, in nanoseconds from the schedule's
/// beginning, in order, without end.
///
/// Every share draws all the requests and leaves out those of the others, so that all shares together are
/// the schedule, however many there are. They are drawn at the unscaled rate, and only then moved to where
/// the scales of the phases put them: the draws do not depend on the phases.
#[derive(Debug)]
pub struct Schedule {
    gaps: Gaps,
    share: usize,
    of: usize,
    next: usize,
    /// Neighbours have different scales.
    pieces: Vec<Piece>,
    /// The piece that the last start was in.
    piece: usize,
}

#[derive(Debug)]
enum Gaps {
    Constant { rate: f64 },
    Poisson { rate: f64, rng: Box<ChaCha8Rng>, at_s: f64 },
}

/// A time in which the rate is the same.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// When it begins, in ns.
    begin: u64,
    /// When it would begin and end if nothing was scaled, in seconds.
    unscaled: [f64; 2],
    scale: f64,
}

/// A start so close to a boundary, in seconds, is on it: sums and quotients are not exact.
const ON_BOUNDARY: f64 = 0.5e-9;

impl Schedule {
    /// The share `share` of `of` of the schedule that `rate` (per second), `arrival` and `seed` give.
    pub fn new(rate: f64, arrival: Arrival, seed: u64, share: usize, of: usize) -> Schedule {
        let gaps = match arrival {
            Arrival::Constant => Gaps::Constant { rate },
            Arrival::Poisson => {
                Gaps::Poisson { rate, rng: Box::new(ChaCha8Rng::seed_from_u64(seed)), at_s: 0.0 }
            }
        };
        let pieces = vec![Piece { begin: 0, unscaled: [0.0, f64::INFINITY], scale: 1.0 }];
        Schedule { gaps, share, of, next: 0, pieces, piece: 0 }
    }

    /// Multiplies the rate by the scale of each of these phases while it lasts, and after the last one by
    /// its scale. No phases are one of scale 1.
    #[must_use]
    pub fn scaled(mut self, phases: impl IntoIterator<Item = (Duration, f64)>) -> Schedule {
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut begin, mut unscaled) = (0, 0.0);
        for (duration, scale) in phases {
            let after = unscaled + duration.as_secs_f64() * scale;
            match pieces.last_mut() {
                Some(piece) if piece.scale == scale => piece.unscaled[1] = after,
                _ => pieces.push(Piece { begin, unscaled: [unscaled, after], scale }),
            }
            begin += duration.as_nanos() as u64;
            unscaled = after;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.unscaled[1] = f64::INFINITY;
            self.pieces = pieces;
        }
        self
    }

    fn draw(&mut self) -> f64 {
        let index = self.next;
        self.next += 1;
        match &mut self.gaps {
            Gaps::Constant { rate } => index as f64 / *rate,
            Gaps::Poisson { rate, rng, at_s } => {
                // 1 − u is never 0, so its logarithm is finite.
                let u: f64 = rng.random();
                *at_s -= (1.0 - u).ln() / *rate;
                *at_s
            }
        }
    }

    /// When a request is due, in ns, that would be due at `seconds` if nothing was scaled. `None` if the
    /// scale is 0 from there on.
    fn due(&mut self, seconds: f64) -> Option<u64> {
        let mut piece = self.pieces[self.piece];
        while seconds >= piece.unscaled[1] - ON_BOUNDARY {
            self.piece += 1;
            piece = self.pieces[self.piece];
        }
        if piece.scale == 0.0 {
            return None;
        }
        // Before anything has been scaled, fractions are cut off, as they always have been.
        let rounded = if self.piece == 0 && piece.scale == 1.0 { 0.0 } else { 0.5 };
        let within = (seconds - piece.unscaled[0]).max(0.0) / piece.scale;
        Some(piece.begin + (within * 1e9 + rounded) as u64)
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let mine = self.next % self.of == self.share;
            let seconds = self.draw();
            if mine {
                return self.due(seconds);
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

    const ARRIVALS: [Arrival; 2] = [Arrival::Constant, Arrival::Poisson];

    fn scaled(rate: f64, arrival: Arrival, phases: &[(f64, f64)]) -> Schedule {
        let phases = phases.iter().map(|(seconds, scale)| (Duration::from_secs_f64(*seconds), *scale));
        Schedule::new(rate, arrival, 7, 0, 1).scaled(phases)
    }

    #[test]
    fn phases_of_scale_one_change_nothing() {
        for arrival in ARRIVALS {
            let whole: Vec<u64> = Schedule::new(1234.5, arrival, 7, 0, 1).take(5000).collect();
            let phases = [(0.1, 1.0), (0.7, 1.0), (0.0, 1.0), (0.3, 1.0)];
            assert_eq!(scaled(1234.5, arrival, &phases).take(5000).collect::<Vec<_>>(), whole);
            assert_eq!(scaled(1234.5, arrival, &[]).take(5000).collect::<Vec<_>>(), whole);
        }
    }

    #[test]
    fn a_phase_has_as_many_requests_as_its_scale_says() {
        // Tenths and thirds are not exact in binary.
        let phases = [(0.3, 1.0), (0.3, 5.0), (0.3, 0.1), (0.3, 0.0), (0.3, 1.0 / 3.0), (0.3, 1.0)];
        let of = |arrival, rate: f64| {
            let mut counts = [0_u64; 6];
            let starts: Vec<u64> =
                scaled(rate, arrival, &phases).take_while(|at| *at < 1_800_000_000).collect();
            assert!(starts.is_sorted());
            for start in starts {
                counts[(start / 300_000_000) as usize] += 1;
            }
            counts
        };
        assert_eq!(of(Arrival::Constant, 100.0), [30, 150, 3, 0, 10, 30]);
        assert_eq!(of(Arrival::Constant, 30_000.0), [9000, 45_000, 900, 0, 3000, 9000]);
        // Of n draws the standard error is √n.
        for (count, mean) in
            of(Arrival::Poisson, 30_000.0).into_iter().zip([9000, 45_000, 900, 0, 3000, 9000])
        {
            assert!(count.abs_diff(mean) <= 4 * mean.isqrt(), "{count} of {mean}");
        }
    }

    #[test]
    fn a_boundary_is_exact_and_belongs_to_the_phase_that_begins() {
        let phases = [(0.3, 1.0), (0.3, 5.0), (0.3, 1.0)];
        let starts: Vec<u64> = scaled(10.0, Arrival::Constant, &phases).take(21).collect();
        assert_eq!((starts[3], starts[18]), (300_000_000, 600_000_000));
        let ms: Vec<u64> = starts.iter().map(|ns| (ns + 500_000) / 1_000_000).collect();
        let expected =
            [0, 100, 200, 300, 320, 340, 360, 380, 400, 420, 440, 460, 480, 500, 520, 540, 560, 580];
        assert_eq!(ms[..18], expected);
        assert_eq!(ms[18..], [600, 700, 800]);
    }

    #[test]
    fn shares_of_a_scaled_schedule_add_up_to_the_whole() {
        let phases = [(Duration::from_millis(100), 1.0), (Duration::from_millis(300), 5.0)];
        for arrival in ARRIVALS {
            let share = |share, of| Schedule::new(1000.0, arrival, 7, share, of).scaled(phases);
            let whole: Vec<u64> = share(0, 1).take(3000).collect();
            let mut shares: Vec<u64> = (0..3).flat_map(|index| share(index, 3).take(1000)).collect();
            shares.sort_unstable();
            assert_eq!(shares, whole);
        }
    }

    #[test]
    fn a_schedule_that_ends_at_scale_zero_ends() {
        let end = scaled(10.0, Arrival::Constant, &[(1.0, 1.0), (1.0, 0.0)]).last();
        assert_eq!(end, Some(900_000_000));
    }
}
