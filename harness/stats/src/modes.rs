//! Whether values have two modes: then a mean is a value that nothing ever has.

use crate::median;

/// Fewer values than that say nothing.
const LEAST: usize = 60;
/// The smaller mode has at least this part of the values: less is a tail.
const SHARE: f64 = 0.15;
/// How far apart the modes are, in their common standard deviation (Ashman's D; of the halves of a normal sample it is
/// 2.7, of an even one 3.5).
const APART: f64 = 4.5;
/// The most of the values that lie in the middle third between the modes.
const BETWEEN: f64 = 0.1;

/// Two modes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modes {
    /// The median of the lower one.
    pub low: f64,
    /// The median of the upper one.
    pub high: f64,
    /// The part of the values that the upper one has.
    pub share_high: f64,
}

/// Returns the two modes of positive `values`, if they have two. The values' logarithms are cut in two where both
/// sides are as close in themselves as possible; the sides are modes if they are far apart (Ashman, Bird & Zepf
/// 1994, AJ 108:2348), little lies between them, and neither is a mere tail. `None` otherwise.
pub fn modes(values: &[f64]) -> Option<Modes> {
    let mut logs: Vec<f64> = values.iter().filter(|v| **v > 0.0 && v.is_finite()).map(|v| v.ln()).collect();
    logs.sort_by(f64::total_cmp);
    let n = logs.len();
    if n < LEAST {
        return None;
    }
    // Sums up to each place, so that every cut costs the same.
    let sums = |power: i32| -> Vec<f64> {
        let mut sum = 0.0;
        std::iter::once(0.0)
            .chain(logs.iter().map(|log| {
                sum += log.powi(power);
                sum
            }))
            .collect()
    };
    let (first, second) = (sums(1), sums(2));
    let squares = |from: usize, to: usize| {
        let (sum, count) = (first[to] - first[from], (to - from) as f64);
        (second[to] - second[from] - sum * sum / count).max(0.0)
    };
    let least = ((SHARE * n as f64).ceil() as usize).max(2);
    let cut = (least..=n - least).min_by(|a, b| {
        let of = |cut: usize| squares(0, cut) + squares(cut, n);
        of(*a).total_cmp(&of(*b))
    })?;
    let (low, high) = logs.split_at(cut);
    let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
    let distance = mean(high) - mean(low);
    let variances = squares(0, cut) / low.len() as f64 + squares(cut, n) / high.len() as f64;
    let third = |k: f64| mean(low) + distance * k / 3.0;
    let between = logs.iter().filter(|log| (third(1.0)..third(2.0)).contains(*log)).count();
    let is_apart = std::f64::consts::SQRT_2 * distance > APART * variances.sqrt();
    if distance <= 0.0 || !is_apart || between as f64 > BETWEEN * n as f64 {
        return None;
    }
    let share_high = high.len() as f64 / n as f64;
    Some(Modes { low: median(low)?.exp(), high: median(high)?.exp(), share_high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (a, b): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// In how many of 200 samples two modes are found; `draw` gives the logarithm of a value.
    fn found(n: usize, draw: impl Fn(&mut ChaCha8Rng) -> f64) -> usize {
        let samples = (0..200).map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..n).map(|_| draw(&mut rng).exp()).collect::<Vec<f64>>()
        });
        samples.filter(|sample| modes(sample).is_some()).count()
    }

    #[test]
    fn one_mode_is_seldom_taken_for_two() {
        for n in [60, 160, 1000] {
            assert!(found(n, |rng| 0.05 * normal(rng)) <= 4);
            assert!(found(n, |rng| 0.2 * normal(rng)) <= 4);
            assert!(found(n, |rng| rng.random::<f64>()) <= 4);
            // A long tail to the right, as noise makes it.
            assert!(found(n, |rng| -0.1 * rng.random_range(f64::EPSILON..1.0).ln()) <= 10);
        }
    }

    #[test]
    fn two_modes_are_found_with_their_values_and_shares() {
        let two =
            |rng: &mut ChaCha8Rng| 0.05 * normal(rng) + if rng.random::<f64>() < 0.3 { 0.4 } else { 0.0 };
        assert!(found(160, two) >= 190);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sample: Vec<f64> = (0..400).map(|_| 10.0 * two(&mut rng).exp()).collect();
        let modes = modes(&sample).expect("two");
        assert!((modes.low - 10.0).abs() < 0.2 && (modes.high - 14.9).abs() < 0.4, "{modes:?}");
        assert!((modes.share_high - 0.3).abs() < 0.08, "{modes:?}");
    }

    #[test]
    fn few_values_and_equal_ones_have_no_modes() {
        assert_eq!(modes(&[]), None);
        assert_eq!(modes(&[1.0, 2.0]), None);
        assert_eq!(modes(&[3.0; 100]), None);
        assert_eq!(modes(&[0.0; 100]), None);
    }
}
