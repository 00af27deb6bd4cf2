//! Planned looks: a run that goes on until its question is decided looks at its blocks more than once.
//!
//! Each look could find a difference that is none, so the looks share the error rate: with [`ALPHA`] at each of four
//! the probability of an error at any of them is at most four times that, whatever the noise is. No finer division is
//! needed: simulated, at most 1 in 100 runs of equal servers ends with a difference (docs/methodology.md).

use super::difference;

/// After how many blocks a run that has no fixed number is looked at; with the last it ends.
pub const LOOKS: [usize; 4] = [8, 12, 18, 27];

/// The adjusted p-value below which a pair differs at one of the [`LOOKS`]. Eight blocks reach 2/2⁸ = 0.0078.
pub const ALPHA: f64 = difference::ALPHA / LOOKS.len() as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_can_decide_and_all_together_keep_the_error_rate() {
        assert_eq!(difference::blocks_needed(ALPHA), LOOKS[0]);
        assert!(ALPHA * LOOKS.len() as f64 <= difference::ALPHA);
        assert!(LOOKS.is_sorted_by(|a, b| a < b));
    }
}
