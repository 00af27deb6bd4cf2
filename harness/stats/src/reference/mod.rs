//! The same numbers in other packages: scipy, statsmodels and numpy, by way of `reference.py`.
//!
//! `reference.json` is what that script wrote, with the versions it used. What is exact there is compared to
//! 10⁻⁹. A bootstrap is compared twice: on the very same resamples, drawn by a generator both sides have, to
//! 10⁻⁹ as well; and as a whole, each side with its own generator, within what chance explains.

use super::bootstrap::{Bootstrap, Interval, RESAMPLES, jackknife};
use super::{holm, median, paired, quantile};
use serde::Deserialize;
use statrs::distribution::{ContinuousCDF as _, Normal};

#[derive(Deserialize)]
struct Reference {
    normal: NormalCases,
    quantile: Vec<Quantiles>,
    holm: Vec<Family>,
    sign_flip: Vec<Test>,
    wilcoxon: Vec<Test>,
    bca_shared: Vec<Shared>,
    bca_seeds: Vec<Seeds>,
}

#[derive(Deserialize)]
struct NormalCases {
    cdf: Vec<(f64, f64)>,
    inverse: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Quantiles {
    values: Vec<f64>,
    quantiles: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Family {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

#[derive(Deserialize)]
struct Test {
    differences: Vec<f64>,
    p: f64,
}

#[derive(Deserialize)]
struct Shared {
    name: String,
    sample: Vec<f64>,
    statistic: String,
    resamples: usize,
    seed: u64,
    bias: f64,
    acceleration: f64,
    /// Confidence, lower and upper end.
    intervals: Vec<(f64, f64, f64)>,
}

#[derive(Deserialize)]
struct Seeds {
    name: String,
    sample: Vec<f64>,
    statistic: String,
    confidence: f64,
    seeds: usize,
    /// Of the lower and of the upper end.
    mean: [f64; 2],
    deviation: [f64; 2],
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference.json")).expect("reference.py's file")
}

fn statistic(name: &str) -> fn(&[f64]) -> f64 {
    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }
    fn deviation(values: &[f64]) -> f64 {
        let mean = mean(values);
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }
    match name {
        "mean" => mean,
        "median" => |values| median(values).unwrap_or(f64::NAN),
        "deviation" => deviation,
        other => panic!("reference.py has a statistic '{other}' that is unknown here"),
    }
}

#[track_caller]
fn assert_close(here: f64, there: f64, tolerance: f64, what: &str) {
    assert!((here - there).abs() <= tolerance, "{what}: {here} here, {there} there, tolerance {tolerance:e}");
}

#[test]
fn the_normal_distribution_is_scipy_s() {
    let normal = reference().normal;
    assert!(normal.cdf.len() >= 9 && normal.inverse.len() >= 9);
    // statrs has ten digits here, of a level at which a quantile of 10 000 replicates is read.
    for (x, expected) in normal.cdf {
        assert_close(Normal::standard().cdf(x), expected, 1e-10, &format!("Φ({x})"));
    }
    for (p, expected) in normal.inverse {
        assert_close(Normal::standard().inverse_cdf(p), expected, 1e-9, &format!("Φ⁻¹({p})"));
    }
}

#[test]
fn quantiles_are_numpy_s() {
    let cases = reference().quantile;
    assert!(cases.len() >= 8);
    for case in cases {
        for (p, expected) in case.quantiles {
            let here = quantile::quantile(&case.values, p).expect("a quantile");
            assert_close(here, expected, 1e-9, &format!("{p} of {:?}", case.values));
        }
    }
}

#[test]
fn holm_is_statsmodels_s() {
    let cases = reference().holm;
    assert!(cases.len() >= 8);
    for family in cases {
        for (here, there) in holm::adjusted(&family.p).into_iter().zip(&family.adjusted) {
            assert_close(here, *there, 1e-9, &format!("{:?}", family.p));
        }
        assert_eq!(holm::adjusted(&family.p).len(), family.adjusted.len());
    }
}

#[test]
fn exact_tests_are_scipy_s() {
    let reference = reference();
    assert!(reference.sign_flip.len() >= 25 && reference.wilcoxon.len() >= 30);
    for Test { differences, p } in reference.sign_flip {
        let here = paired::sign_flip(&differences).expect("a p-value");
        assert_close(here, p, 1e-9, &format!("sign-flip of {differences:?}"));
    }
    for Test { differences, p } in reference.wilcoxon {
        let here = paired::wilcoxon(&differences).expect("a p-value");
        assert_close(here, p, 1e-9, &format!("Wilcoxon of {differences:?}"));
    }
}

/// The statistic of the resamples that `shared_indices` in reference.py draws.
fn shared_replicates(case: &Shared, statistic: fn(&[f64]) -> f64) -> Vec<f64> {
    let mut state = case.seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        case.sample[(state >> 33) as usize % case.sample.len()]
    };
    (0..case.resamples)
        .map(|_| statistic(&case.sample.iter().map(|_| draw()).collect::<Vec<f64>>()))
        .collect()
}

#[test]
fn on_the_same_resamples_bca_is_scipy_s() {
    let cases = reference().bca_shared;
    assert!(cases.len() >= 17);
    for case in cases {
        let statistic = statistic(&case.statistic);
        let left_out = jackknife(&case.sample, statistic);
        let replicates = shared_replicates(&case, statistic);
        let b = Bootstrap::from_replicates(statistic(&case.sample), replicates, &left_out)
            .expect("a distribution");
        assert_close(b.bias(), case.bias, 1e-9, &format!("z₀ of {}", case.name));
        assert_close(b.acceleration(), case.acceleration, 1e-9, &format!("a of {}", case.name));
        for &(confidence, low, high) in &case.intervals {
            let here = b.interval(confidence).expect("an interval");
            assert_close(here.low, low, 1e-9, &format!("{confidence} of {}, low", case.name));
            assert_close(here.high, high, 1e-9, &format!("{confidence} of {}, high", case.name));
        }
    }
}

/// The mean of an end over scipy's seeds and over ours differ by chance alone, with a standard error of
/// sd √(1/seeds + 1/ours), sd being that of one interval's end over scipy's seeds; four of them are allowed,
/// for 34 ends. That is about half a percent of an interval's width where the statistic is a mean. The end
/// of a median's interval is an order statistic and mostly the same for every seed: then sd is 0 and so is
/// the tolerance, but for rounding.
#[test]
fn with_seeds_of_its_own_bca_is_scipy_s_but_for_chance() {
    const OURS: u64 = 5;
    let cases = reference().bca_seeds;
    assert!(cases.len() >= 17);
    for case in cases {
        let statistic = statistic(&case.statistic);
        let interval = |seed| {
            let b = Bootstrap::with_resamples(&case.sample, statistic, RESAMPLES, seed)?;
            b.interval(case.confidence)
        };
        let intervals: Vec<Interval> = (0..OURS).filter_map(interval).collect();
        let low = intervals.iter().map(|i| i.low).sum::<f64>() / OURS as f64;
        let high = intervals.iter().map(|i| i.high).sum::<f64>() / OURS as f64;
        let tolerance =
            |deviation: f64| 4.0 * deviation * (1.0 / case.seeds as f64 + 1.0 / OURS as f64).sqrt() + 1e-9;
        assert_close(low, case.mean[0], tolerance(case.deviation[0]), &format!("{}, low", case.name));
        assert_close(high, case.mean[1], tolerance(case.deviation[1]), &format!("{}, high", case.name));
    }
}
