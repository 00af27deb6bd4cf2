//! The search for the highest rate that keeps a bound: many short trials, as in MLRsearch (RFC 9971).
//!
//! Pure: it says which rate to try next, and is told how the trial went.

use super::workload::Workload;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A search as an experiment file gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchSpec {
    /// What a trial does; its rate is `trial`.
    pub workload: Workload,
    /// The bound that a rate has to keep.
    pub keep: Keep,
    /// The first rate that is tried, in requests per second.
    pub from: f64,
    /// The highest rate that is tried, in requests per second.
    pub to: f64,
    /// How much the lowest failing rate may exceed the result, as a part of it.
    pub precision: f64,
    /// Trials of one rate at the most: the majority decides.
    pub trials: usize,
}

/// A bound on a latency percentile, as in `response_p99_us < 5000`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keep {
    /// The percentile's rank, from 0 to 1.
    pub quantile: f64,
    /// Where it has to stay below, in µs.
    pub below_us: f64,
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Keep, String> {
        let wrong = || format!("'{text}': give a percentile and its bound, as in response_p99_us < 5000");
        let (column, bound) = text.split_once('<').ok_or_else(wrong)?;
        let known = BOUNDED.iter().find(|(name, _)| *name == column.trim());
        let (_, quantile) = *known.ok_or_else(wrong)?;
        let below_us: f64 = bound.trim().parse().map_err(|_| wrong())?;
        (below_us > 0.0 && below_us.is_finite()).then_some(Keep { quantile, below_us }).ok_or_else(wrong)
    }
}

/// The columns of the percentiles that can be bounded, each with its rank.
const BOUNDED: [(&str, f64); 4] = [
    ("response_p50_us", 0.5),
    ("response_p90_us", 0.9),
    ("response_p99_us", 0.99),
    ("response_p99_9_us", 0.999),
];

impl From<Keep> for String {
    fn from(keep: Keep) -> String {
        let column =
            BOUNDED.iter().find(|(_, quantile)| *quantile == keep.quantile).map_or("", |(name, _)| name);
        format!("{column} < {}", keep.below_us)
    }
}

impl SearchSpec {
    /// Whether its result is the knee of a workload at these levels: it has the same of every factor that it
    /// uses.
    pub fn fits(&self, levels: &BTreeMap<String, String>) -> bool {
        self.workload.levels.iter().all(|(name, level)| levels.get(name) == Some(level))
    }

    /// Refuses a search that cannot end.
    ///
    /// # Errors
    /// One line that names the field.
    pub fn check(&self) -> Result<(), String> {
        if !(1.0..=super::workload::MAX_RATE).contains(&self.from) {
            return Err("from: give a rate in requests per second, 1 at the least".into());
        }
        if !(self.from..=super::workload::MAX_RATE).contains(&self.to) {
            return Err("to: give a rate that is not below 'from'".into());
        }
        if !(0.005..=1.0).contains(&self.precision) {
            return Err("precision: give a part, from 0.005 to 1".into());
        }
        match self.trials {
            1 | 3 | 5 | 7 => Ok(()),
            _ => Err("trials: give 1, 3, 5 or 7, so that there is a majority".into()),
        }
    }
}

/// Where a search for one server is.
#[derive(Debug, Clone)]
pub struct Search {
    from: f64,
    to: f64,
    precision: f64,
    trials: usize,
    /// The highest rate that passed, and the lowest that failed.
    passed: Option<f64>,
    failed: Option<f64>,
    /// The rate on trial, and the trials so far that it passed and failed.
    rate: f64,
    votes: [usize; 2],
}

/// How much lower a search goes than its first rate before it gives up.
const LOWEST: f64 = 1.0 / 64.0;

impl Search {
    /// The beginning of a search.
    pub fn new(spec: &SearchSpec) -> Search {
        Search {
            from: spec.from,
            to: spec.to,
            precision: spec.precision,
            trials: spec.trials,
            passed: None,
            failed: None,
            rate: spec.from,
            votes: [0, 0],
        }
    }

    /// The rate to try next; `None` at the end.
    pub fn next(&self) -> Option<f64> {
        (!self.is_over()).then_some(self.rate)
    }

    /// What was found: the highest rate that keeps the bound. `None` before the end, and where even the lowest
    /// rate breaks it.
    pub fn found(&self) -> Option<f64> {
        self.passed.filter(|_| self.is_over())
    }

    fn is_over(&self) -> bool {
        match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => failed <= passed * (1.0 + self.precision),
            (Some(passed), None) => passed >= self.to,
            (None, Some(failed)) => failed <= self.from * LOWEST,
            (None, None) => false,
        }
    }

    /// Takes the outcome of a trial of [`Search::next`].
    pub fn take(&mut self, passed: bool) {
        self.votes[usize::from(!passed)] += 1;
        let majority = self.trials / 2 + 1;
        if self.votes.iter().all(|votes| *votes < majority) {
            return;
        }
        match self.votes[0] >= majority {
            true => self.passed = Some(self.rate),
            false => self.failed = Some(self.rate),
        }
        self.votes = [0, 0];
        self.rate = match (self.passed, self.failed) {
            (Some(passed), None) => (2.0 * passed).min(self.to),
            (None, Some(failed)) => failed / 2.0,
            // The middle of a ratio, rounded so that rows are easy to read.
            (Some(passed), Some(failed)) => middle(passed, failed),
            (None, None) => self.rate,
        };
    }
}

/// A whole number between two rates, about their geometric mean; the mean itself where there is none.
fn middle(low: f64, high: f64) -> f64 {
    let mean = (low * high).sqrt();
    let whole = mean.round();
    if whole > low && whole < high { whole } else { mean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(precision: f64, trials: usize) -> Search {
        Search {
            from: 1000.0,
            to: 200_000.0,
            precision,
            trials,
            passed: None,
            failed: None,
            rate: 1000.0,
            votes: [0, 0],
        }
    }

    /// Runs it to its end against a server whose knee is known; counts the trials.
    fn run(mut search: Search, knee: f64) -> (Option<f64>, usize) {
        let mut trials = 0;
        while let Some(rate) = search.next() {
            search.take(rate <= knee);
            trials += 1;
            assert!(trials < 100, "it does not end");
        }
        (search.found(), trials)
    }

    #[test]
    fn the_highest_passing_rate_is_within_the_precision_below_the_knee() {
        for knee in [30.0, 999.0, 1000.0, 1234.5, 24_000.0, 150_000.0] {
            let (found, _) = run(search(0.02, 1), knee);
            let found = found.expect("there is one");
            assert!(found <= knee && knee <= found * 1.02 + 1e-9, "{found} for {knee}");
        }
    }

    #[test]
    fn it_ends_where_nothing_passes_or_everything_does() {
        assert_eq!(run(search(0.05, 3), 0.5).0, None);
        assert_eq!(run(search(0.05, 3), 1e9).0, Some(200_000.0));
    }

    #[test]
    fn a_majority_of_short_trials_decides() {
        let mut search = search(0.05, 3);
        search.take(false);
        search.take(true);
        assert_eq!(search.next(), Some(1000.0));
        search.take(true);
        assert_eq!(search.next(), Some(2000.0));
        // Two of the same need no third.
        search.take(false);
        search.take(false);
        assert_eq!(search.next(), Some(1414.0));
    }

    #[test]
    fn a_bound_is_a_percentile_below_a_time() {
        let keep = Keep::try_from("response_p99_us < 5000".to_owned()).expect("valid");
        assert_eq!(keep, Keep { quantile: 0.99, below_us: 5000.0 });
        for wrong in ["", "response_p99_us", "p99 < 5", "response_p99_us < x", "response_p99_us < 0"] {
            assert!(Keep::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
