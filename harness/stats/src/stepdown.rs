//! The step-down test: of all the pairs in a table, which differ, with one error rate for the table.
//!
//! A block's noise is symmetric: under the hypothesis that a pair does not differ, its difference in a block
//! could as well have had the other sign. The signs of whole blocks are flipped, the same for all pairs, so
//! that how pairs depend on each other is kept as it is (Romano and Wolf 2005, "Exact and approximate
//! stepdown methods for multiple hypothesis testing", JASA 100:94). The least p-value is 2/2ⁿ for n blocks,
//! whatever the number of pairs: six blocks can decide any table, where Holm's correction needs 2/2ⁿ × pairs.
//!
//! No maintained crate that we know has it. Its error rates and its power, and Holm's beside them, are in
//! docs/methodology.md, made by `examples/error_rates.rs`. A mean on the scale of its own pair, as Student's
//! t is, was tried there as well: with skewed noise and unequal spreads up to 26 tables of 100 had a false
//! difference.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;

/// Up to so many blocks every assignment of signs is enumerated.
pub const ENUMERATED: usize = 14;
/// How many assignments are drawn beyond that.
const DRAWN: usize = 9_999;
/// What draws them: p depends on the rows alone.
const SEED: u64 = 20_240_607;

/// The adjusted p-values of pairs, in the order they were given. A pair is its differences (logarithms of
/// ratios), each with its block. The statistic of a pair is |mean difference|.
///
/// In descending order of the statistic, p̃(i) is the largest over j ≤ i of the share of assignments for which
/// some pair from j on reaches the statistic of j. With an adjusted value below α where they are told apart,
/// the probability that one or more of the pairs without a difference is, stays below α.
///
/// A pair that lacks blocks flips with the others in the blocks that it has. A pair without differences has 1.
pub fn adjusted(pairs: &[Vec<(usize, f64)>]) -> Vec<f64> {
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for (block, _) in pairs.iter().flatten() {
        let next = places.len();
        places.entry(*block).or_insert(next);
    }
    // Each pair's share of its mean, block by block.
    let shares: Vec<Vec<f64>> = pairs
        .iter()
        .map(|pair| {
            let mut shares = vec![0.0; places.len()];
            pair.iter().for_each(|(block, d)| shares[places[block]] += d / pair.len() as f64);
            shares
        })
        .collect();
    let mean = |shares: &Vec<f64>| shares.iter().sum::<f64>().abs();
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|a, b| mean(&shares[*b]).total_cmp(&mean(&shares[*a])));
    let sorted: Vec<&Vec<f64>> = order.iter().map(|pair| &shares[*pair]).collect();
    // Sums within 10⁻¹² of the mean size count as equal, since the order of an addition must not decide.
    let size: f64 = shares.iter().flatten().map(|share| share.abs()).fold(0.0, f64::max);
    let reached: Vec<f64> = sorted.iter().map(|shares| mean(shares) - 1e-12 * size).collect();
    let mut count = vec![0_u64; pairs.len()];
    let mut assignments = 0_u64;
    let mut take = |means: &[f64]| {
        assignments += 1;
        let mut highest = 0.0_f64;
        for (place, mean) in means.iter().enumerate().rev() {
            highest = highest.max(mean.abs());
            count[place] += u64::from(highest >= reached[place]);
        }
    };
    for_each_assignment(&sorted, places.len(), &mut take);
    let mut adjusted = vec![1.0; pairs.len()];
    let mut highest = 0.0_f64;
    for (place, pair) in order.into_iter().enumerate() {
        highest = highest.max(count[place] as f64 / assignments as f64);
        adjusted[pair] = if pairs[pair].is_empty() { 1.0 } else { highest };
    }
    adjusted
}

/// The means of all pairs for each assignment of signs, or for a sample of them with the one that was seen.
fn for_each_assignment(pairs: &[&Vec<f64>], blocks: usize, take: &mut impl FnMut(&[f64])) {
    let mut means: Vec<f64> = pairs.iter().map(|shares| shares.iter().sum()).collect();
    take(&means);
    if blocks <= ENUMERATED {
        let mut sign = vec![1.0; blocks];
        // All signs turned round give the same sizes: the last block keeps its sign. In the order of a Gray
        // code, where one block flips at a time.
        for step in 1..1_u64 << blocks.saturating_sub(1) {
            let block = step.trailing_zeros() as usize;
            sign[block] = -sign[block];
            for (mean, shares) in means.iter_mut().zip(pairs) {
                *mean += 2.0 * sign[block] * shares[block];
            }
            take(&means);
        }
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    // Block by block, so that the processor adds up several pairs at once.
    let of_block = |block: usize| -> Vec<f64> { pairs.iter().map(|shares| shares[block]).collect() };
    let by_block: Vec<Vec<f64>> = (0..blocks).map(of_block).collect();
    for _ in 0..DRAWN {
        means.fill(0.0);
        for shares in &by_block {
            let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
            means.iter_mut().zip(shares).for_each(|(mean, share)| *mean += share * sign);
        }
        take(&means);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::{floor, sign_flip};

    fn pair(differences: &[f64]) -> Vec<(usize, f64)> {
        differences.iter().copied().enumerate().collect()
    }

    #[test]
    fn a_pair_alone_has_the_sign_flip_test_s_p_value() {
        for d in
            [&[3.0, 2.0, -1.0][..], &[1.0, 2.0, 3.0], &[1.0, 2.0, -3.0], &[0.1, -0.2, 0.4, 0.3, 0.2, 0.25]]
        {
            let alone = adjusted(&[pair(d)])[0];
            assert!((alone - sign_flip(d).expect("a test")).abs() < 1e-12, "{d:?}: {alone}");
        }
    }

    #[test]
    fn by_hand() {
        // Three blocks, four assignments up to the sign of all: A's means are 6, 4, 2 and 0 thirds, B's 1, 1, 3
        // and 3 (of 1, 1, −1 with +++, −++, +−+, ++−). A's 6 is reached once. B's 1, the last, always.
        let p = adjusted(&[pair(&[1.0, 1.0, -1.0]), pair(&[1.0, 2.0, 3.0])]);
        assert_eq!(p, [1.0, 0.25]);
    }

    #[test]
    fn six_blocks_decide_any_number_of_pairs() {
        let differs: Vec<f64> = (0..6).map(|i| 0.10 + 0.001 * f64::from(i)).collect();
        let p = adjusted(&vec![pair(&differs); 190]);
        assert!(p.iter().all(|p| *p == floor(6)), "{p:?}");
        assert_eq!(adjusted(&[]), Vec::<f64>::new());
        assert_eq!(adjusted(&[Vec::new(), pair(&differs)]), [1.0, floor(6)]);
    }

    #[test]
    fn a_pair_that_was_told_apart_is_in_nobody_s_way() {
        // With the large one in the maximum the small one could never be told apart.
        let small: Vec<f64> = (0..8).map(|i| 0.010 + 0.0001 * f64::from(i)).collect();
        let large: Vec<f64> = small.iter().map(|d| 50.0 * d).collect();
        let p = adjusted(&[pair(&small), pair(&large)]);
        assert_eq!(p, [floor(8); 2]);
    }

    #[test]
    fn blocks_that_a_pair_lacks_are_not_its_own() {
        let whole = pair(&[0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17]);
        let part = whole[2..].to_vec();
        let p = adjusted(&[whole, part]);
        assert!(p[0] < 0.05 && p[1] < 0.05, "{p:?}");
        assert!(p[1] >= floor(6));
    }

    #[test]
    fn many_blocks_are_sampled_and_the_same_each_time() {
        let d: Vec<f64> = (0..30).map(|i| 0.01 + 0.02 * f64::from(i % 7 - 3)).collect();
        let exact = sign_flip(&d).expect("a test");
        let sampled = adjusted(&[pair(&d)])[0];
        assert!((sampled - exact).abs() < 0.01, "{sampled} {exact}");
        assert_eq!(adjusted(&[pair(&d)])[0], sampled);
    }
}
