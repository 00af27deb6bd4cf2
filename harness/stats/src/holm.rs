//! Holm's correction: of all the pairs in a table, how many may be called different by mistake.
//!
//! No maintained crate that we know has it, so it is written here and checked against statsmodels.

/// The adjusted p-values of a family, in the order they were given: the probability that one or more of the
/// true null hypotheses is rejected stays below α where those with an adjusted value below α are rejected,
/// however the tests depend on each other.
///
/// In ascending order, p̃(i) = max over j ≤ i of min(1, (m − j + 1) p(j)) (Holm 1979, "A simple sequentially
/// rejective multiple test procedure"). An adjusted value never falls where one of the raw values rises.
pub fn adjusted(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut highest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        highest = highest.max(p[index] * (p.len() - rank) as f64).min(1.0);
        adjusted[index] = highest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::adjusted;

    #[test]
    fn a_family_of_one_is_not_corrected() {
        assert_eq!(adjusted(&[0.03]), [0.03]);
        assert_eq!(adjusted(&[]), [0.0; 0]);
    }

    #[test]
    fn it_steps_down_and_never_back() {
        // By hand: 4 × 0.01, 3 × 0.02, then 2 × 0.025 = 0.05, which may not be below 0.06.
        assert_eq!(adjusted(&[0.5, 0.01, 0.025, 0.02]), [0.5, 0.04, 0.06, 0.06]);
        assert_eq!(adjusted(&[0.6, 0.9]), [1.0, 1.0]);
    }
}
