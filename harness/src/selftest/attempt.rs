//! The attempts at a trial: how often it is run, and what is said of each figure in the end.

use super::figure::Figure;
use super::noise::Noise;
use anyhow::Result;

/// How often a trial is run if the host was not quiet.
pub(super) const ATTEMPTS: usize = 3;

/// What is said of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is as expected.
    Passed,
    /// It is not, as the noise of the host explains each time: nothing is known of the harness.
    CannotTell,
    /// It is not, and noise does not explain it.
    Failed,
}

/// The last attempt at a trial.
#[derive(Debug)]
pub(super) struct Last {
    /// Its figures, and what is said of each after all attempts.
    pub(super) figures: Vec<(Figure, Outcome)>,
    /// Its noise.
    pub(super) noise: Noise,
    /// Its number, from 1.
    pub(super) attempt: usize,
}

/// Runs a trial, and again while a figure is wrong and the host was not quiet, at the most `most` times.
///
/// A figure that is wrong in the last attempt is excused only if noise explains each of its misses.
///
/// # Errors
/// Those of `run`.
pub(super) fn attempts(
    most: usize,
    factor: f64,
    mut run: impl FnMut(usize) -> Result<(Vec<Figure>, Noise)>,
) -> Result<Last> {
    let mut unexplained: Vec<String> = Vec::new();
    let mut attempt = 1;
    loop {
        let (figures, noise) = run(attempt)?;
        let wrong = || figures.iter().filter(|figure| !figure.passes(factor));
        unexplained.extend(
            wrong().filter(|figure| !noise.explains(figure, factor)).map(|figure| figure.name.clone()),
        );
        if wrong().next().is_some() && noise.disturbed.is_some() && attempt < most {
            attempt += 1;
            continue;
        }
        let outcome = |figure: &Figure| match figure.passes(factor) {
            true => Outcome::Passed,
            false if unexplained.contains(&figure.name) => Outcome::Failed,
            false => Outcome::CannotTell,
        };
        let figures = figures.iter().map(|figure| (figure.clone(), outcome(figure))).collect();
        return Ok(Last { figures, noise, attempt });
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Sensitivity;
    use super::*;
    use Outcome::{CannotTell, Failed, Passed};

    fn p99(ms: f64) -> Figure {
        Figure::near("service p99", "ms", 20.0, Some(ms), 0.0, 0.5).sensitive(Sensitivity::Delay(0.99))
    }

    fn noise(others: f64) -> Noise {
        let disturbed = (others > 0.05).then(|| "others".to_owned());
        Noise { disturbed, others, cpus: 2.0, seconds: 5.0, ..Noise::default() }
    }

    /// What is said after these attempts: what was measured, and what others used meanwhile.
    fn said(tries: &[(f64, f64)]) -> (Outcome, usize) {
        let run = |attempt: usize| Ok((vec![p99(tries[attempt - 1].0)], noise(tries[attempt - 1].1)));
        let last = attempts(ATTEMPTS, 1.0, run).expect("it runs");
        (last.figures[0].1, last.attempt)
    }

    #[test]
    fn a_miss_that_noise_explains_each_time_cannot_be_told() {
        assert_eq!(said(&[(30.0, 0.15), (25.0, 0.2), (21.0, 0.15)]), (CannotTell, 3));
    }

    #[test]
    fn the_first_attempt_that_is_right_passes() {
        assert_eq!(said(&[(20.0, 0.15)]), (Passed, 1));
        assert_eq!(said(&[(30.0, 0.15), (20.2, 0.15)]), (Passed, 2));
    }

    #[test]
    fn a_miss_on_a_quiet_host_fails_at_once_and_one_that_is_too_large_in_the_end() {
        assert_eq!(said(&[(30.0, 0.02)]), (Failed, 1));
        assert_eq!(said(&[(30.0, 0.15), (30.0, 0.02)]), (Failed, 2));
        // In 5 s no more than 1.5 s were taken.
        assert_eq!(said(&[(2000.0, 0.15), (30.0, 0.15), (30.0, 0.15)]), (Failed, 3));
    }

    /// What each fault of `--mutate` makes of the figure that finds it: its measured values are those that a quiet host
    /// gave, at the top of which a host's noise would come. Nothing of it is excused on a host where others take 15%, nor
    /// where they take all they can get.
    #[test]
    fn every_fault_of_the_client_fails_on_a_host_that_is_not_quiet() {
        let time = |name: &str, expected, measured, sensitivity| {
            Figure::near(name, "ms", expected, Some(measured), 0.0, 0.5).sensitive(sensitivity)
        };
        let faults = [
            ("slow-clock", time("service p50", 20.0, 18.1, Sensitivity::Delay(0.5))),
            ("wrong-unit", time("response p50", 20.0, 0.02, Sensitivity::Delay(0.5))),
            ("whole-milliseconds", time("service p1", 20.0, 21.0, Sensitivity::Delay(0.01))),
            (
                "omit-waiting",
                time("response max", 2000.0, 130.0, Sensitivity::Queue { times: 8.0, load: 0.0 }),
            ),
            ("drop-in-flight", Figure::exact("scheduled", "", 2000u64, 1996u64)),
            ("any-status", Figure::exact("bad_status", "", 20u64, 0u64)),
        ];
        for (fault, figure) in faults {
            for others in [0.15, 0.5, 1.0] {
                let run = |_| Ok((vec![figure.clone()], noise(others)));
                let last = attempts(1, 1.0, run).expect("it runs");
                assert_eq!(last.figures[0].1, Failed, "{fault}, others {others}");
            }
        }
    }
}
