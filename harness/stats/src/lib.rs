//! Statistics over blocks: pure functions of numbers, without a clock, a file or a random choice of their
//! own.
//!
//! | to change | look in |
//! |---|---|
//! | when two servers are said to differ, and the figures beside it | [`difference`] |
//! | what a number of blocks can tell, and how many a difference takes | [`reach`] |
//! | when a run without a fixed number of blocks is looked at | [`looks`] |
//! | "2–4": the ranks that verdicts leave possible | [`ranks`] |
//! | the interval around an estimate | [`bootstrap`] |
//! | the test of one pair, and of one median | [`paired`] |
//! | the test of all pairs of a table together | [`stepdown`] |
//! | the correction for many pairs that only bounds it | [`holm`] |
//! | whether values have two modes | [`modes`](modes::modes) |
//! | percentiles of a few values (of latencies: the histograms) | [`quantile()`](quantile::quantile) |
//!
//! A report needs [`difference::compare`] for each pair of a table, [`difference::judge_family`] once for the
//! table, and [`ranks::ranks`] of what that said. What cannot be computed is `None`, never a number that
//! stands for nothing.
//!
//! `reference` compares all of it with scipy, statsmodels and numpy, and `simulated` with samples whose
//! truth is known.

pub mod bootstrap;
pub mod difference;
pub mod holm;
pub mod looks;
pub mod modes;
pub mod paired;
pub mod quantile;
pub mod ranks;
pub mod reach;
pub mod stepdown;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod simulated;

/// The median of `values`; the mean of the middle two where their number is even, `None` without any.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians_of_odd_and_even_numbers_and_of_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
