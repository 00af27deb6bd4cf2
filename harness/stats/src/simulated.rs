//! Samples whose truth is known: do the intervals cover it, and do the verdicts find it?
//!
//! Every sample is drawn from a fixed seed, so that a test passes always or never. The bands are wide enough
//! for chance in the number of samples (three standard errors), and too narrow for a method that is wrong.

use super::bootstrap::Bootstrap;
use super::difference::{ALPHA, Difference, Paired, Tested, compare, compare_with, judge_family};
use super::median;
use super::reach::mde;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, Normal};

/// Normal values by inversion, which needs no more than statrs already gives.
fn normal(rng: &mut ChaCha8Rng, mean: f64, deviation: f64) -> f64 {
    // Never 0, whose normal quantile is infinite.
    let level = (f64::from(rng.random::<u32>()) + 0.5) / 4_294_967_296.0;
    mean + deviation * Normal::standard().inverse_cdf(level)
}

/// How many of 300 samples of `n` normal values have the true mean, 5, in their interval.
fn covered(n: usize, statistic: fn(&[f64]) -> f64, confidence: f64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let sample = |_| (0..n).map(|_| normal(&mut rng, 5.0, 2.0)).collect::<Vec<f64>>();
    let samples: Vec<Vec<f64>> = (0..300).map(sample).collect();
    let covers = |sample: &Vec<f64>| {
        let b = Bootstrap::with_resamples(sample, statistic, 1000, 1).expect("a distribution");
        b.interval(confidence).expect("an interval").contains(5.0)
    };
    samples.iter().filter(|sample| covers(sample)).count()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn middle(values: &[f64]) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

/// The bootstrap divides by n where Student's t divides by n − 1, and knows no t: of 12 values the interval
/// of a mean covers it with P(|t₁₁| < 1.96 √(11/12)) = 91.3%. Chance moves the number by
/// 300 √(0.913 × 0.087 / 300) = 4.9. A 90% interval covered 257 of these samples, and would fail.
#[test]
fn the_95_percent_interval_of_a_mean_covers_it() {
    let covered = covered(12, mean, 0.95);
    assert!((260..=288).contains(&covered), "{covered} of 300");
}

/// The intervals that verdicts rest on. In 3000 samples they covered 94.0% and 89.0%.
#[test]
fn the_intervals_of_a_median_cover_it() {
    let wide = covered(12, middle, 0.95);
    assert!((270..=294).contains(&wide), "{wide} of 300");
    let narrow = covered(12, middle, 0.90);
    assert!((251..=283).contains(&narrow), "{narrow} of 300");
    assert!(narrow < wide);
}

/// A table of servers over 12 blocks: the block moves all of them by 5%, each cell has 1.5% of its own, and
/// server `s` is `ratios[s]` of the rest. Every pair of it, judged.
fn table(ratios: &[f64], delta: f64, rng: &mut ChaCha8Rng) -> Vec<(usize, usize, Tested)> {
    let blocks: Vec<f64> = (0..12).map(|_| normal(rng, 0.0, 0.05)).collect();
    let mut server = |ratio: &f64| -> Vec<(usize, f64)> {
        let cell = |(i, block): (usize, &f64)| (i, 100.0 * ratio * (block + normal(rng, 0.0, 0.015)).exp());
        blocks.iter().enumerate().map(cell).collect()
    };
    let servers: Vec<_> = ratios.iter().map(&mut server).collect();
    let names: Vec<(usize, usize)> =
        (0..servers.len()).flat_map(|a| (a + 1..servers.len()).map(move |b| (a, b))).collect();
    // Fewer resamples than a report has: 900 pairs are compared.
    let compare =
        |&(a, b): &(usize, usize)| compare_with(&servers[a], &servers[b], ALPHA, 400).expect("blocks");
    let pairs: Vec<Paired> = names.iter().map(compare).collect();
    let judged = judge_family(pairs, delta);
    names.into_iter().zip(judged).map(|((a, b), judged)| (a, b, judged)).collect()
}

fn differs(judged: &Tested) -> bool {
    matches!(judged.difference, Difference::Lower | Difference::Higher)
}

/// A table of one server under ten names may have a difference in one of twenty; three of twenty, as for the
/// harness as a whole, is what chance makes of that. Without δ, so that the test alone has to hold.
#[test]
fn one_server_under_ten_names_rarely_differs_from_itself() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let tables: Vec<_> = (0..20).map(|_| table(&[1.0; 10], 0.0, &mut rng)).collect();
    let any = tables.iter().filter(|table| table.iter().any(|(_, _, judged)| differs(judged))).count();
    let raw = tables.iter().flatten().filter(|(_, _, judged)| judged.paired.p < 0.05).count();
    assert!(any <= 3, "{any} of 20 tables");
    // The test itself is not merely timid: uncorrected, 5% of the 900 pairs are found.
    assert!((20..=80).contains(&raw), "{raw} of 900 pairs");
}

#[test]
fn five_percent_is_found_among_ten_servers() {
    let mut ratios = [1.0; 10];
    ratios[0] = 1.05;
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let tables: Vec<_> = (0..20).map(|_| table(&ratios, 0.02, &mut rng)).collect();
    let (mut found, mut wrong, mut covered) = (0, 0, 0);
    for (a, _, judged) in tables.iter().flatten() {
        let truth = if *a == 0 { Difference::Higher } else { Difference::Equivalent };
        found += usize::from(*a == 0 && judged.difference == truth);
        wrong += usize::from(differs(judged) && judged.difference != truth);
        covered += usize::from(judged.paired.interval_95.is_some_and(|i| i.contains(ratios[*a])));
    }
    // 17 of 20 of the 180 pairs with the slow one; and the intervals of all 900.
    assert!(found >= 153, "{found} of 180");
    assert_eq!(wrong, 0);
    assert!((810..=891).contains(&covered), "{covered} of 900");
}

#[test]
fn five_percent_between_two_servers_is_found() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut server = |ratio: f64| -> Vec<(usize, f64)> {
        (0..12).map(|block| (block, 100.0 * ratio * normal(&mut rng, 0.0, 0.015).exp())).collect()
    };
    let repeats: Vec<Tested> = (0..20)
        .map(|_| judge_family(vec![compare(&server(1.05), &server(1.0)).expect("blocks")], 0.02).remove(0))
        .collect();
    let found = repeats.iter().filter(|judged| judged.difference == Difference::Higher).count();
    let covered =
        repeats.iter().filter(|judged| judged.paired.interval_95.is_some_and(|i| i.contains(1.05))).count();
    assert!(found >= 17 && covered >= 17, "{found} found, {covered} covered, of 20");
}

/// The least difference that could have been told is told in about four of five samples. In 2000 samples of 6, 8 and
/// 12 blocks it was in 1681, 1665 and 1650.
#[test]
fn what_could_have_been_told_is_told_in_four_of_five() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for n in [6, 8, 12] {
        // The spread is known: that of a pair whose servers have 2% each.
        let deviation = 0.02 * 2.0_f64.sqrt() * (1.0 - 1.0 / n as f64).sqrt();
        let known: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { deviation } else { -deviation }).collect();
        let least = mde(&known, 0.02, ALPHA).expect("enough blocks");
        let mut server = |ratio: f64| -> Vec<(usize, f64)> {
            (0..n).map(|block| (block, 100.0 * ratio * normal(&mut rng, 0.0, 0.02).exp())).collect()
        };
        let told = (0..300).filter(|_| {
            let pair = compare_with(&server(1.0 + least), &server(1.0), ALPHA, 1000).expect("blocks");
            differs(&judge_family(vec![pair], 0.02)[0])
        });
        let told = told.count();
        assert!((228..=272).contains(&told), "{n} blocks: {told} of 300");
    }
}
