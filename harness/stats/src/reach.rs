//! What blocks can tell: the least difference that they establish four times in five, and how many blocks a
//! difference takes.
//!
//! exp(ln(1 + δ) + (z₁₋α/₂ + z₀.₈₀) s √(π/2) / √n) − 1: the interval has to lie beyond δ; s is the standard
//! deviation of the pair's ln ratios, and √(π/2) what a median varies more than a mean does. For the pair alone: in
//! a large family a little more is needed.

use super::difference::blocks_needed;
use super::median;
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::f64::consts::{FRAC_PI_2, SQRT_2};

/// How often a difference of that size is to be established.
const POWER: f64 = 0.80;

/// The least difference, as a ratio − 1, that the blocks of a pair would have established at `alpha` with a
/// probability of 80%: the minimal detectable effect. `None` with fewer than [`blocks_needed`] blocks.
pub fn mde(log_ratios: &[f64], delta: f64, alpha: f64) -> Option<f64> {
    let blocks = log_ratios.len();
    (blocks >= blocks_needed(alpha)).then(|| Some(mde_of(spread(log_ratios)?, blocks, delta, alpha)))?
}

/// The same for a pair whose ln ratios have the standard deviation `spread`, over so many `blocks`.
pub fn mde_of(spread: f64, blocks: usize, delta: f64, alpha: f64) -> f64 {
    (delta.ln_1p() + of_one_block(spread, alpha) / (blocks as f64).sqrt()).exp_m1()
}

/// The least number of blocks in which [`mde_of`] is at most `difference`, a ratio − 1. `None` where no number is
/// enough, since the difference is not larger than δ.
pub fn blocks_for(difference: f64, spread: f64, delta: f64, alpha: f64) -> Option<usize> {
    let room = difference.ln_1p() - delta.ln_1p();
    let blocks = (of_one_block(spread, alpha) / room).powi(2).ceil();
    (room > 0.0 && blocks.is_finite()).then(|| (blocks as usize).max(blocks_needed(alpha)))
}

fn of_one_block(spread: f64, alpha: f64) -> f64 {
    let normal = Normal::standard();
    (normal.inverse_cdf(1.0 - alpha / 2.0) + normal.inverse_cdf(POWER)) * spread * FRAC_PI_2.sqrt()
}

/// The standard deviation of the values; `None` of fewer than two.
pub fn spread(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}

/// The standard deviation of ln ratios that two blocks of many pairs show. Each pair's two values differ by a
/// normal value with √2 times that deviation, so that its size has the median √2 z₀.₇₅ s: the median over the
/// pairs says s, and a few noisy pairs do not move it. `None` without a pair.
pub fn spread_of_twos(pairs: &[[f64; 2]]) -> Option<f64> {
    let sizes: Vec<f64> = pairs.iter().map(|[first, second]| (first - second).abs()).collect();
    Some(median(&sizes)? / (SQRT_2 * Normal::standard().inverse_cdf(0.75)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::ALPHA;

    /// Twelve ln ratios from −`spread` to `spread`.
    fn ratios(spread: f64) -> Vec<f64> {
        (0..12).map(|i| (f64::from(i) / 5.5 - 1.0) * spread).collect()
    }

    #[test]
    fn what_could_have_been_told_follows_from_the_spread() {
        let of = |spread| mde(&ratios(spread), 0.02, ALPHA).expect("twelve blocks");
        // Without a spread it is δ; with one it grows in proportion, on logarithms.
        assert!((of(0.0) - 0.02).abs() < 1e-12);
        let (some, twice) = (of(0.05).ln_1p() - 0.02_f64.ln_1p(), of(0.1).ln_1p() - 0.02_f64.ln_1p());
        assert!((twice / some - 2.0).abs() < 1e-6, "{some} {twice}");
        assert!(mde(&ratios(0.05), 0.02, 0.0125).expect("twelve blocks") > of(0.05));
        assert_eq!((mde(&[0.1; 5], 0.02, ALPHA), mde(&[0.1; 7], 0.02, 0.0125)), (None, None));
    }

    #[test]
    fn so_many_blocks_and_not_one_fewer_tell_a_difference() {
        for alpha in [ALPHA, 0.0125] {
            let blocks = blocks_for(0.05, 0.04, 0.02, alpha).expect("it is larger than δ");
            assert!(mde_of(0.04, blocks, 0.02, alpha) <= 0.05, "{blocks}");
            assert!(mde_of(0.04, blocks - 1, 0.02, alpha) > 0.05, "{blocks}");
            assert_eq!(blocks_for(0.05, 0.0001, 0.02, alpha), Some(blocks_needed(alpha)));
        }
        assert_eq!(blocks_for(0.02, 0.04, 0.02, ALPHA), None);
        assert_eq!(blocks_for(0.05, f64::NAN, 0.02, ALPHA), None);
    }

    #[test]
    fn two_blocks_of_many_pairs_show_the_spread() {
        let normal = Normal::standard();
        // The quantiles of a normal distribution, each with its mirror image, of which every tenth is far off.
        let pair = |i: u32| {
            let size = normal.inverse_cdf((f64::from(i) + 0.5) / 1000.0) * 0.03 * SQRT_2;
            [size + 1.0, 1.0]
        };
        let mut pairs: Vec<[f64; 2]> = (0..1000).map(pair).collect();
        assert!((spread_of_twos(&pairs).expect("pairs") / 0.03 - 1.0).abs() < 0.01);
        pairs.extend([[9.0, 0.0]; 50]);
        assert!((spread_of_twos(&pairs).expect("pairs") / 0.03 - 1.0).abs() < 0.10);
        assert_eq!((spread_of_twos(&[]), spread(&[1.0])), (None, None));
        assert!((spread(&[1.0, 3.0]).expect("two") - SQRT_2).abs() < 1e-12);
    }
}
