//! Exact tests of paired differences: could they as well have had the other sign?
//!
//! [`sign_flip`] and [`wilcoxon`] ask the same null hypothesis, that each block's difference is symmetric about 0, and both are two
//! sided and exact: p is a share of all 2ⁿ assignments of signs, never an approximation by the normal
//! distribution. No maintained crate that we know has either (statrs stops at Mann–Whitney, which throws the
//! pairing away), so they are written here and checked against scipy.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// Up to so many differences every assignment of signs is enumerated: halves of 2¹⁶ sums each.
pub const SIGN_FLIP_MAX: usize = 32;

/// The p-value of the exact test that fits the number of `differences`: [`sign_flip`] up to
/// [`SIGN_FLIP_MAX`], [`wilcoxon`] beyond. `None` where they give none.
pub fn exact(differences: &[f64]) -> Option<f64> {
    if differences.len() <= SIGN_FLIP_MAX { sign_flip(differences) } else { wilcoxon(differences) }
}

/// The least p-value that a test of `n` differences can give, 2/2ⁿ: all of one sign, and two sided.
pub fn floor(n: usize) -> f64 {
    (1.0 - n as f64).exp2().min(1.0)
}

/// The exact sign-flip (randomisation) test, two sided (Fisher 1935, "The Design of Experiments", § 21).
///
/// The statistic is the mean of the differences; p is the share of the 2ⁿ assignments of signs whose mean is
/// at least as far from 0. Zeros stay: their sign changes nothing. Means within 10⁻¹² of the mean size count
/// as equal, since the order of an addition must not decide.
///
/// Every assignment is counted, without being visited: each half of the sample has 2ⁿᐟ² sums, and two sorted
/// lists tell how many of their pairs reach a bound.
///
/// `None` without differences, with more than [`SIGN_FLIP_MAX`], or with one that is not finite.
pub fn sign_flip(differences: &[f64]) -> Option<f64> {
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    if differences.is_empty() || differences.len() > SIGN_FLIP_MAX || !size.is_finite() {
        return None;
    }
    let bound = differences.iter().sum::<f64>().abs() - 1e-12 * size;
    if bound <= 0.0 {
        return Some(1.0);
    }
    let (left, right) = differences.split_at(differences.len() / 2);
    let (left, right) = (signed_sums(left), signed_sums(right));
    // For each sum of the left half, ascending, ever more of the right half's sums reach the bound.
    let mut count = 0_u64;
    let mut reach = 0;
    for l in &left {
        while reach < right.len() && l + right[right.len() - 1 - reach] >= bound {
            reach += 1;
        }
        count += reach as u64;
    }
    // As many lie at −bound or below, by symmetry, and none of them is counted already.
    Some(2.0 * count as f64 / (differences.len() as f64).exp2())
}

/// The sums of every assignment of signs, ascending.
fn signed_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for value in values {
        sums = sums.iter().flat_map(|sum| [sum + value, sum - value]).collect();
    }
    sums.sort_by(f64::total_cmp);
    sums
}

/// The exact Wilcoxon signed-rank test, two sided (Wilcoxon 1945): p is twice the smaller tail of the rank
/// sum of the positive differences, at the most 1.
///
/// Zeros are dropped first, as Wilcoxon did. Ties of the sizes get their mean rank, and the distribution is
/// that of the mean ranks at hand (it is counted over doubled ranks, which are whole), so that p stays exact.
/// The work grows as n³: a few milliseconds for 200 differences.
///
/// `None` without differences, or with one that is not finite; 1 where all are zero.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    if differences.is_empty() || differences.iter().any(|d| !d.is_finite()) {
        return None;
    }
    let mut nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    nonzero.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut ranks = Vec::with_capacity(nonzero.len());
    let mut positive = 0;
    for tied in nonzero.chunk_by(|a, b| a.abs() == b.abs()) {
        // Twice the mean of the ranks `first` to `last`.
        let (first, last) = (ranks.len() + 1, ranks.len() + tied.len());
        positive += (first + last) * tied.iter().filter(|d| **d > 0.0).count();
        ranks.extend(std::iter::repeat_n(first + last, tied.len()));
    }
    // The distribution is symmetric, so that either tail can be read at the lower end.
    let tail = positive.min(ranks.iter().sum::<usize>() - positive);
    // share[w]: of all assignments of signs to the ranks so far, those whose positive ranks add up to w.
    let mut share = vec![0.0_f64; tail + 1];
    share[0] = 1.0;
    for rank in ranks {
        for w in (0..=tail).rev() {
            let with = if w >= rank { share[w - rank] } else { 0.0 };
            share[w] = (share[w] + with) / 2.0;
        }
    }
    Some((2.0 * share.iter().sum::<f64>()).min(1.0))
}

/// The p-value of the exact sign test, two sided: does the median of `values` lie beyond ± `bound`? Each side is asked
/// how probable it is that so many values lie beyond its bound if at most one in two does.
///
/// No symmetry is assumed, and no value counts by its size. The least p of n values is [`floor`]. `None` without
/// values, or with one that is no number.
pub fn sign_test(values: &[f64], bound: f64) -> Option<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let above = values.iter().filter(|value| **value > bound).count();
    let below = values.iter().filter(|value| **value < -bound).count();
    let Some(all_but_most) = above.max(below).checked_sub(1) else {
        return (!values.is_empty()).then_some(1.0);
    };
    let coins = Binomial::new(0.5, values.len() as u64).ok()?;
    Some((2.0 * coins.sf(all_but_most as u64)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_by_hand() {
        // Of +++, ++−, +−+, … only two of eight means are as far out.
        assert_eq!(sign_flip(&[1.0, 2.0, 3.0]), Some(0.25));
        // 1 + 2 − 3: every assignment reaches 0.
        assert_eq!(sign_flip(&[1.0, 2.0, -3.0]), Some(1.0));
        // 3 + 2 − 1 = 4: ±6 and ±4.
        assert_eq!(sign_flip(&[3.0, 2.0, -1.0]), Some(0.5));
        // Ranks 3, 2 and −1: the lower tail is {} and {1}.
        assert_eq!(wilcoxon(&[3.0, 2.0, -1.0]), Some(0.5));
        assert_eq!(sign_flip(&[5.0]), Some(1.0));
        assert_eq!(wilcoxon(&[5.0]), Some(1.0));
    }

    #[test]
    fn twelve_blocks_of_one_sign_reach_the_floor() {
        let d: Vec<f64> = (1..=12).map(|i| f64::from(i) * 0.01).collect();
        assert_eq!(sign_flip(&d), Some(2.0 / 4096.0));
        assert_eq!(wilcoxon(&d), Some(2.0 / 4096.0));
        assert_eq!(floor(12), 2.0 / 4096.0);
        assert_eq!((floor(0), floor(1), floor(2)), (1.0, 1.0, 0.5));
    }

    #[test]
    fn zeros_and_what_is_no_sample() {
        assert_eq!(sign_flip(&[0.0, 1.0, 2.0, 3.0, 0.0]), Some(0.25));
        assert_eq!(wilcoxon(&[0.0, 1.0, 2.0, 3.0, 0.0]), Some(0.25));
        for test in [sign_flip, wilcoxon, exact] {
            assert_eq!(test(&[0.0; 5]), Some(1.0));
            assert_eq!(test(&[]), None);
            assert_eq!(test(&[1.0, f64::NAN]), None);
            assert_eq!(test(&[1.0, f64::INFINITY]), None);
        }
        assert_eq!(sign_flip(&[1.0; SIGN_FLIP_MAX + 1]), None);
    }

    #[test]
    fn on_ranks_the_two_tests_are_one() {
        // Two ways to count, by enumeration and by adding up ranks, of which neither knows the other; at
        // the largest size too, and just beyond it the other test takes over.
        for n in [6, 7, 20, 31, SIGN_FLIP_MAX] {
            let d: Vec<f64> = (1..=n).map(|i| if i % 3 == 1 { -(i as f64) } else { i as f64 }).collect();
            let (flip, rank) = (sign_flip(&d).expect("a test"), wilcoxon(&d).expect("a test"));
            assert!((flip - rank).abs() < 1e-12, "{n}: {flip} {rank}");
            assert_eq!(exact(&d), Some(flip));
        }
        let d: Vec<f64> = (1..=40).map(f64::from).collect();
        assert_eq!(exact(&d), Some(floor(40)));
    }

    #[test]
    fn the_sign_test_counts_what_lies_beyond_a_bound() {
        let p = |values: &[f64]| sign_test(values, 0.03).map(|p| (p * 1e9).round() / 1e9);
        assert_eq!(p(&[0.05; 6]), Some(floor(6)));
        assert_eq!(p(&[-0.05; 6]), Some(floor(6)));
        // One of seven within: 8 of 128, twice.
        let one_within = [[0.05; 6].as_slice(), &[0.0]].concat();
        assert_eq!(p(&one_within), Some(0.125));
        assert_eq!(p(&[0.03; 12]), Some(1.0), "at the bound is not beyond it");
        assert_eq!(p(&[0.05, -0.05, 0.05, -0.05]), Some(1.0));
        assert_eq!((p(&[]), p(&[f64::NAN])), (None, None));
        assert_eq!(p(&[f64::NEG_INFINITY; 6]), Some(floor(6)));
    }

    #[test]
    fn the_order_of_the_blocks_and_the_names_change_nothing() {
        let d = [0.013, -0.002, 0.031, 0.007, 0.022, -0.011, 0.016];
        let back: Vec<f64> = d.iter().rev().copied().collect();
        let swapped: Vec<f64> = d.iter().map(|d| -d).collect();
        assert_eq!(sign_flip(&d), sign_flip(&back));
        assert_eq!(sign_flip(&d), sign_flip(&swapped));
        assert_eq!(wilcoxon(&d), wilcoxon(&swapped));
    }
}
