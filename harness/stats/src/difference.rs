//! Whether two servers differ: pairs by block, a test over the family, and a difference that matters.
//!
//! Words here do not know the metric. `Lower` says that A's values are lower than B's; what that is worth
//! says [`Difference::word`]. Everything happens on logarithms, where A over B is the mirror of B over A, so
//! that swapping two names mirrors the finding and changes nothing else.

use super::bootstrap::{Bootstrap, Interval, RESAMPLES};
use super::{holm, median, paired, quantile, stepdown};
use std::collections::BTreeMap;

/// The adjusted p-value below which a pair differs, where its blocks are looked at once. Whoever looks more often
/// takes [`looks::ALPHA`](crate::looks::ALPHA).
pub const ALPHA: f64 = 0.05;
/// The least ratio − 1 that matters, whatever the A/A control says.
pub const DELTA_FLOOR: f64 = 0.02;
/// The same for every pair: an interval depends on its rows alone, and can be computed again from them.
const SEED: u64 = 20_240_607;

/// What is said of A against B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Difference {
    /// A's values are lower, by more than δ.
    Lower,
    /// A's values are higher, by more than δ.
    Higher,
    /// The ratio lies within ±δ.
    Equivalent,
    /// These blocks do not tell.
    Inconclusive,
}

/// Which end of a metric is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Latency, CPU per request, memory.
    Lower,
    /// Throughput.
    Higher,
}

impl Difference {
    /// `faster`, `slower`, `equivalent` or `inconclusive`, of A.
    pub fn word(self, better: Better) -> &'static str {
        match (self, better) {
            (Difference::Lower, Better::Lower) | (Difference::Higher, Better::Higher) => "faster",
            (Difference::Lower, Better::Higher) | (Difference::Higher, Better::Lower) => "slower",
            (Difference::Equivalent, _) => "equivalent",
            (Difference::Inconclusive, _) => "inconclusive",
        }
    }
}

/// A against B, before the family is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// ln(A/B) of every block that has both, in the order of the blocks. No unit.
    pub log_ratios: Vec<f64>,
    /// The blocks of these, in the same order.
    pub blocks: Vec<usize>,
    /// Blocks of either that were left out: the other lacks them, they were given twice, or a value has no
    /// logarithm.
    pub dropped: usize,
    /// exp(median ln(A/B)): A over B.
    pub estimate: f64,
    /// The 95% BCa interval of the estimate; `None` with too few blocks for one, or where it is undefined.
    pub interval_95: Option<Interval>,
    /// The 90% BCa interval.
    pub interval_90: Option<Interval>,
    /// The p-value of [`paired::exact`], before any correction.
    pub p: f64,
    /// The error rate that the pair is judged by.
    alpha: f64,
    /// The 1 − α interval, which has to lie beyond δ for a difference.
    interval_beyond: Option<Interval>,
    /// The 1 − 2α interval, which has to lie within δ for an equivalence: two one-sided tests at α.
    interval_within: Option<Interval>,
}

/// Pairs A's values with B's, `(block, value)` each, block by block, to be judged by [`ALPHA`].
///
/// `None` where no block has both.
pub fn compare(a: &[(usize, f64)], b: &[(usize, f64)]) -> Option<Paired> {
    compare_with(a, b, ALPHA, RESAMPLES)
}

/// As [`compare`], to be judged by `alpha`.
pub fn compare_at(a: &[(usize, f64)], b: &[(usize, f64)], alpha: f64) -> Option<Paired> {
    compare_with(a, b, alpha, RESAMPLES)
}

/// As [`compare_at`], with another number of resamples.
pub(super) fn compare_with(
    a: &[(usize, f64)],
    b: &[(usize, f64)],
    alpha: f64,
    resamples: usize,
) -> Option<Paired> {
    let mut blocks: BTreeMap<usize, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for &(block, value) in a {
        blocks.entry(block).or_default().0.push(value);
    }
    for &(block, value) in b {
        blocks.entry(block).or_default().1.push(value);
    }
    let (with_both, log_ratios): (Vec<usize>, Vec<f64>) =
        blocks.iter().filter_map(|(block, (a, b))| Some((*block, log_ratio(a, b)?))).unzip();
    let bootstrap = Bootstrap::of_median(&log_ratios, resamples, SEED);
    let interval = |confidence| {
        let enough = tells(log_ratios.len(), confidence);
        let logs = bootstrap.as_ref().filter(|_| enough)?.interval(confidence)?;
        Some(logs.map(f64::exp))
    };
    Some(Paired {
        estimate: median(&log_ratios)?.exp(),
        interval_95: interval(0.95),
        interval_90: interval(0.90),
        interval_beyond: interval(1.0 - alpha),
        interval_within: interval(1.0 - 2.0 * alpha),
        alpha,
        p: paired::exact(&log_ratios)?,
        dropped: blocks.len() - log_ratios.len(),
        blocks: with_both,
        log_ratios,
    })
}

/// ln(a/b) of a block that has one positive and finite value of each.
fn log_ratio(a: &[f64], b: &[f64]) -> Option<f64> {
    let (&[a], &[b]) = (a, b) else { return None };
    let known = |value: f64| value > 0.0 && value.is_finite();
    // Not ln(a/b), which overflows sooner and whose mirror image is another number.
    (known(a) && known(b)).then(|| a.ln() - b.ln())
}

/// The BCa interval of the median of `values`, in their unit; `None` with too few of them for one.
pub fn median_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let enough = tells(values.len(), confidence);
    Bootstrap::of_median(values, RESAMPLES, SEED).filter(|_| enough)?.interval(confidence)
}

/// Whether `n` values can give an interval of their median such a `confidence` at all.
///
/// A bootstrap interval never leaves the range of the values, and all of them lie on one side of the median
/// with probability 2^(1 − n) (they do so as easily as coins all fall alike). So 95% takes six blocks and
/// 90% five, whatever the values are.
fn tells(n: usize, confidence: f64) -> bool {
    paired::floor(n) <= 1.0 - confidence
}

/// δ: the least ratio − 1 that counts as a difference, the larger of [`DELTA_FLOOR`] and the 95th percentile
/// of |A/A ratio − 1|, the ratio taken the way round that makes it 1 or more.
///
/// `aa_ratios` are the *estimates* of pairs of one server under two names, one for each cell that has the
/// control. Ratios of single blocks do not belong here: their spread is that of one block, and stays as wide
/// however many blocks a run has. Those that are not positive and finite are left out.
pub fn delta(aa_ratios: &[f64]) -> f64 {
    let known = aa_ratios.iter().filter(|ratio| **ratio > 0.0 && ratio.is_finite());
    let away: Vec<f64> = known.map(|ratio| ratio.ln().abs().exp_m1()).collect();
    quantile::quantile(&away, 0.95).map_or(DELTA_FLOOR, |seen| seen.max(DELTA_FLOOR))
}

/// A against B, as one pair of its family.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// The pair.
    pub paired: Paired,
    /// Its p-value of [`stepdown::adjusted`], over the family.
    pub p_step_down: f64,
    /// Its p-value after Holm's correction over the family, which is larger or the same but for chance.
    pub p_holm: f64,
    /// What is said of it.
    pub difference: Difference,
    /// Whether its blocks could have shown a difference, had they all pointed the same way. Where they could
    /// not, `Inconclusive` says nothing about the servers: the run had too few blocks.
    pub decidable: bool,
}

/// Judges every pair of one table together. `delta` is that of [`delta()`].
///
/// `Lower` and `Higher` take a step-down p-value below α and a 1 − α interval beyond δ (95% where α is
/// [`ALPHA`]); `Equivalent` a 1 − 2α interval within it (90%). The borders are 1/(1 + δ) and 1 + δ, so that they
/// mirror each other. The step-down test guards the table against differences that are none; each `Equivalent`
/// stands for itself. A pair of fewer than [`blocks_needed`] blocks is in nobody's family, and its p its own.
pub fn judge_family(pairs: Vec<Paired>, delta: f64) -> Vec<Tested> {
    let holm = holm::adjusted(&pairs.iter().map(|pair| pair.p).collect::<Vec<_>>());
    // A pair that its own blocks cannot decide must not hide the others behind a mean that is never rejected.
    let decidable = |pair: &&Paired| pair.log_ratios.len() >= blocks_needed(pair.alpha);
    let by_block = |pair: &Paired| pair.blocks.iter().copied().zip(pair.log_ratios.iter().copied()).collect();
    let tested: Vec<Vec<(usize, f64)>> = pairs.iter().filter(decidable).map(by_block).collect();
    let mut adjusted = stepdown::adjusted(&tested).into_iter();
    let of_pair = |pair: &Paired| if decidable(&pair) { adjusted.next().unwrap_or(1.0) } else { pair.p };
    let step_down: Vec<f64> = pairs.iter().map(of_pair).collect();
    let judged = pairs.into_iter().zip(holm).zip(step_down).map(|((paired, p_holm), p_step_down)| Tested {
        difference: difference(&paired, p_step_down, delta),
        decidable: decidable(&&paired),
        p_step_down,
        p_holm,
        paired,
    });
    judged.collect()
}

fn difference(paired: &Paired, p: f64, delta: f64) -> Difference {
    let (low, high) = (1.0 / (1.0 + delta), 1.0 + delta);
    match (paired.interval_beyond, paired.interval_within) {
        (Some(i), _) if p < paired.alpha && i.high < low => Difference::Lower,
        (Some(i), _) if p < paired.alpha && i.low > high => Difference::Higher,
        (_, Some(i)) if i.low > low && i.high < high => Difference::Equivalent,
        _ => Difference::Inconclusive,
    }
}

/// The least number of blocks with which a pair can be told apart at `alpha`, however many pairs there are: the
/// first n with 2/2ⁿ < `alpha`, which is also the first with a 1 − `alpha` interval. Six at [`ALPHA`].
pub fn blocks_needed(alpha: f64) -> usize {
    (1..).find(|n| paired::floor(*n) < alpha).unwrap_or(usize::MAX)
}

/// [`blocks_needed`] at [`ALPHA`].
pub const BLOCKS_NEEDED: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve blocks of A at `ratio` times B, with a spread of ±`spread` around it.
    fn blocks(n: usize, ratio: f64, spread: f64) -> Paired {
        let side = |i: usize| (i as f64 / (n - 1) as f64 * 2.0 - 1.0) * spread;
        let a: Vec<_> = (0..n).map(|i| (i, 100.0 * ratio * side(i).exp())).collect();
        let b: Vec<_> = (0..n).map(|i| (i, 100.0)).collect();
        compare(&a, &b).expect("blocks with both")
    }

    fn judged(pair: Paired, family: usize, delta: f64) -> Tested {
        let mut pairs = vec![pair];
        pairs.resize(family, blocks(12, 1.0, 0.01));
        judge_family(pairs, delta).swap_remove(0)
    }

    #[test]
    fn the_four_verdicts() {
        let verdict = |ratio, spread| judged(blocks(12, ratio, spread), 45, 0.02).difference;
        assert_eq!(verdict(1.10, 0.01), Difference::Higher);
        assert_eq!(verdict(0.90, 0.01), Difference::Lower);
        assert_eq!(verdict(1.0, 0.01), Difference::Equivalent);
        assert_eq!(verdict(1.0, 0.2), Difference::Inconclusive);
        // Certain, but of no importance; and important, but not certain.
        assert_eq!(verdict(1.015, 0.01), Difference::Equivalent);
        assert_eq!(verdict(1.02, 0.01), Difference::Inconclusive);
        assert_eq!(verdict(1.10, 0.3), Difference::Inconclusive);
    }

    #[test]
    fn a_noisier_control_asks_for_more() {
        assert_eq!(judged(blocks(12, 1.10, 0.01), 1, 0.15).difference, Difference::Equivalent);
        assert_eq!(judged(blocks(12, 1.10, 0.01), 1, f64::NAN).difference, Difference::Inconclusive);
    }

    #[test]
    fn a_smaller_alpha_asks_for_more() {
        let of = |n: usize, ratio: f64, alpha: f64| {
            let values = |ratio: f64, spread: f64| -> Vec<(usize, f64)> {
                (0..n).map(|i| (i, ratio * (spread * (i as f64 / (n - 1) as f64 - 0.5)).exp())).collect()
            };
            let pair = compare_at(&values(ratio, 0.01), &values(1.0, 0.0), alpha).expect("blocks");
            let judged = judge_family(vec![pair; 3], 0.02).remove(0);
            (judged.difference, judged.decidable)
        };
        // 2/2⁷ = 0.0156, 2/2⁸ = 0.0078.
        assert_eq!(of(7, 1.1, ALPHA), (Difference::Higher, true));
        assert_eq!(of(7, 1.1, 0.0125), (Difference::Inconclusive, false));
        assert_eq!(of(8, 1.1, 0.0125), (Difference::Higher, true));
        assert_eq!(of(8, 1.0, 0.0125), (Difference::Equivalent, true));
        // Its outermost values count as well: 1.0165 e^0.005 is beyond 1.02.
        assert_eq!(of(8, 1.0165, ALPHA).0, Difference::Equivalent);
        assert_eq!(of(8, 1.0165, 0.0125).0, Difference::Inconclusive);
    }

    #[test]
    fn words_know_which_end_is_good() {
        assert_eq!(Difference::Lower.word(Better::Lower), "faster");
        assert_eq!(Difference::Lower.word(Better::Higher), "slower");
        assert_eq!(Difference::Higher.word(Better::Higher), "faster");
        assert_eq!(Difference::Higher.word(Better::Lower), "slower");
        assert_eq!(Difference::Equivalent.word(Better::Lower), "equivalent");
        assert_eq!(Difference::Inconclusive.word(Better::Higher), "inconclusive");
    }

    #[test]
    fn swapping_the_names_mirrors_everything() {
        let a: Vec<_> = [103.0, 99.5, 107.0, 104.0, 101.0, 108.0, 103.5].into_iter().enumerate().collect();
        let b: Vec<_> = [100.0, 98.0, 101.0, 99.0, 100.5, 97.0, 99.9].into_iter().enumerate().collect();
        let there = compare(&a, &b).expect("pairs");
        let back = compare(&b, &a).expect("pairs");
        assert!((there.estimate * back.estimate - 1.0).abs() < 1e-12);
        let (one, other) = (there.interval_95.expect("95%"), back.interval_95.expect("95%"));
        assert!((one.low * other.high - 1.0).abs() < 1e-9 && (one.high * other.low - 1.0).abs() < 1e-9);
        assert_eq!(there.p, back.p);
        let (there, back) = (judged(there, 1, 0.02), judged(back, 1, 0.02));
        let mirrored = match there.difference {
            Difference::Lower => Difference::Higher,
            Difference::Higher => Difference::Lower,
            same => same,
        };
        assert_eq!(mirrored, back.difference);
        assert!((delta(&[0.9]) - delta(&[1.0 / 0.9])).abs() < 1e-12);
    }

    #[test]
    fn values_are_paired_by_block() {
        let a = [(3, 8.0), (1, 2.0), (2, 4.0), (7, 1.0), (8, 0.0), (9, 5.0), (9, 6.0)];
        let b = [(1, 1.0), (3, 1.0), (2, 1.0), (5, 1.0), (8, 1.0), (9, 1.0)];
        let paired = compare(&a, &b).expect("three blocks");
        let ratios: Vec<f64> = paired.log_ratios.iter().map(|d| d.exp().round()).collect();
        assert_eq!(ratios, [2.0, 4.0, 8.0]);
        assert!((paired.estimate - 4.0).abs() < 1e-12);
        // 5 and 7 lack a side, 8 has no logarithm, 9 is ambiguous.
        assert_eq!(paired.dropped, 4);
        assert_eq!(compare(&[(1, 1.0)], &[(2, 1.0)]), None);
        assert_eq!(compare(&[(1, f64::NAN)], &[(1, 1.0)]), None);
        assert_eq!(compare(&[], &[]), None);
    }

    #[test]
    fn few_blocks_have_no_interval_and_no_verdict() {
        // All lie on one side of the median with 6.25% where they are five, with 3.1% where they are six.
        for (n, ninety, ninety_five) in
            [(1, false, false), (4, false, false), (5, true, false), (6, true, true)]
        {
            let values: Vec<_> = (0..n).map(|i| (i, 1.0)).collect();
            let paired = compare(&values, &values).expect("pairs");
            assert_eq!(paired.interval_90.is_some(), ninety, "{n}");
            assert_eq!(paired.interval_95.is_some(), ninety_five, "{n}");
            let expected = if ninety { Difference::Equivalent } else { Difference::Inconclusive };
            assert_eq!(judged(paired, 1, 0.02).difference, expected, "{n}");
        }
    }

    #[test]
    fn a_median_of_a_cell_has_an_interval_from_six_blocks_on() {
        let values: Vec<f64> = (0..12).map(|i| 100.0 + f64::from(i)).collect();
        let interval = median_interval(&values, 0.95).expect("twelve blocks");
        assert!(interval.low >= 101.0 && interval.high <= 110.0 && interval.contains(105.5), "{interval:?}");
        assert_eq!(median_interval(&values[..5], 0.95), None);
        assert_eq!(median_interval(&[], 0.95), None);
    }

    #[test]
    fn too_few_blocks_to_ever_decide_are_named() {
        let all = |n: usize| judge_family(vec![blocks(n, 2.0, 0.01); 45], 0.02);
        assert!(all(5).iter().all(|pair| !pair.decidable && pair.difference == Difference::Inconclusive));
        assert!(all(6).iter().all(|pair| pair.decidable && pair.difference == Difference::Higher));
        assert_eq!(blocks_needed(ALPHA), BLOCKS_NEEDED);
        // However far apart a pair of five blocks is, it hides no other.
        let mut pairs = vec![blocks(12, 1.1, 0.01); 3];
        pairs.push(blocks(5, 90.0, 0.01));
        let said: Vec<_> =
            judge_family(pairs, 0.02).iter().map(|pair| (pair.difference, pair.decidable)).collect();
        assert_eq!(said[..3], [(Difference::Higher, true); 3]);
        assert_eq!(said[3], (Difference::Inconclusive, false));
        // Among pairs with more blocks one with fewer is judged by its own.
        let mut pairs = vec![blocks(12, 2.0, 0.01); 44];
        pairs.push(blocks(6, 2.0, 0.01));
        assert!(judge_family(pairs, 0.02).iter().all(|pair| pair.difference == Difference::Higher));
        assert_eq!(judge_family(Vec::new(), 0.02), []);
    }

    #[test]
    fn delta_is_what_the_control_shows_and_never_less_than_the_floor() {
        assert_eq!(delta(&[]), 0.02);
        assert_eq!(delta(&[1.001, 0.999]), 0.02);
        assert!((delta(&[1.05]) - 0.05).abs() < 1e-12);
        // 21 values: the 95th percentile is the second largest.
        let mut ratios = vec![1.0; 19];
        ratios.extend([1.04, 1.5]);
        assert!((delta(&ratios) - 0.04).abs() < 1e-12);
        assert_eq!(delta(&[0.0, f64::NAN, f64::INFINITY]), 0.02);
    }
}
