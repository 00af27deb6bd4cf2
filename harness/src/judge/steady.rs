//! Whether the measured time was one state and not two, and whether its figures fit each other.
//!
//! The first is asked of the blocks of a cell together. One row's halves differ by chance, and to leave out the rows
//! in which they do would select rows by their figures.

use super::facts::{Facts, HalfFacts};
use super::gate::Gate;
use stats::difference::{ALPHA, BLOCKS_NEEDED};
use stats::{median, paired};

/// The median of a cell's blocks may differ by so much from one half to the other.
const HALVES: f64 = 0.03;
/// Little's law may be missed by so much.
const LITTLE: f64 = 0.03;
/// Little's law is judged from so many requests on.
const ENOUGH: u64 = 100;

/// Throughput of the second half / that of the first; with a schedule each per request that was due, so
/// that the schedule's own chance is not taken for the server's. `None` where the first has none.
pub fn throughput_ratio(halves: &[HalfFacts; 2], open: bool) -> Option<f64> {
    let of = |half: &HalfFacts| {
        let (answered, by) = match open {
            true => (half.completed.saturating_sub(half.late), half.due as f64),
            false => (half.completed, half.seconds),
        };
        (by > 0.0).then(|| answered as f64 / by)
    };
    ratio(of(&halves[1])?, of(&halves[0])?)
}

/// Server CPU time per right answer in the second half / that in the first.
pub fn cpu_ratio(halves: &[HalfFacts; 2]) -> Option<f64> {
    let of = |half: &HalfFacts| {
        (half.completed > 0).then_some(half.server_cpu?.as_secs_f64() / half.completed as f64)
    };
    ratio(of(&halves[1])?, of(&halves[0])?)
}

/// Mean latency of the requests due in the second half / that of the first.
pub fn latency_ratio(halves: &[HalfFacts; 2]) -> Option<f64> {
    ratio(halves[1].latency_s?, halves[0].latency_s?)
}

fn ratio(second: f64, first: f64) -> Option<f64> {
    (first > 0.0 && first.is_finite()).then_some(second / first)
}

/// `in_flight_mean` / (throughput × mean latency), with the throughput over all the time in which that was counted.
pub fn little_ratio(facts: &Facts) -> Option<f64> {
    ratio(facts.in_flight_mean?, facts.completed as f64 / facts.seconds * facts.latency_s?)
}

/// Requests under way on average: counted, or by Little's law, and one at the least.
pub fn in_flight(facts: &Facts) -> f64 {
    let by_law = facts.throughput_rps.zip(facts.latency_s).map(|(rate, latency)| rate * latency);
    facts.in_flight_mean.or(by_law).unwrap_or(facts.concurrency as f64).max(1.0)
}

/// The halves agree over the blocks of a cell: `ratios` are those of one figure, second half / first, a block each.
/// The gate trips if the median of their logarithms lies beyond ±3%, by a sign test.
pub fn steady_state(figure: &str, ratios: &[f64]) -> Gate {
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    if logs.len() < BLOCKS_NEEDED {
        return Gate::NoInput;
    }
    match (paired::sign_test(&logs, HALVES.ln_1p()), median(&logs)) {
        (Some(p), Some(middle)) if p < ALPHA => Gate::Trips(format!(
            "{figure} of the second half {:+.1}% (median of {} blocks), more than {:.0}% apart",
            middle.exp_m1() * 100.0,
            logs.len(),
            HALVES * 100.0
        )),
        (Some(_), _) => Gate::Passes,
        (None, _) => Gate::NoInput,
    }
}

/// Little's law holds: what was counted as under way fits throughput and latency.
pub fn little(facts: &Facts) -> Gate {
    let (Some(ratio), Some(latency)) = (little_ratio(facts), facts.latency_s) else { return Gate::NoInput };
    if facts.completed < ENOUGH || facts.seconds <= 0.0 {
        return Gate::NoInput;
    }
    // Requests that are under way at either end count with a part of their time only.
    let limit = LITTLE.max(2.0 * latency / facts.seconds);
    match (ratio - 1.0).abs() > limit {
        true => Gate::Trips(format!(
            "in flight / (throughput * latency) is {ratio:.3}, more than {limit:.3} from 1"
        )),
        false => Gate::Passes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn halves(first: u64, second: u64, cpu_ms: [u64; 2]) -> [HalfFacts; 2] {
        let half = |completed, ms| HalfFacts {
            seconds: 2.5,
            due: 100_000,
            completed,
            late: 0,
            server_cpu: Some(Duration::from_millis(ms)),
            latency_s: Some(completed as f64),
        };
        [half(first, cpu_ms[0]), half(second, cpu_ms[1])]
    }

    fn trips(ratios: &[f64]) -> bool {
        matches!(steady_state("throughput", ratios), Gate::Trips(_))
    }

    #[test]
    fn halves_that_differ_in_the_same_way_in_most_blocks_trip_the_gate() {
        assert_eq!(
            steady_state("throughput", &[0.9, 0.92, 0.91, 0.9, 0.9, 0.93]),
            Gate::Trips(
                "throughput of the second half -9.5% (median of 6 blocks), more than 3% apart".into()
            )
        );
        assert!(trips(&[1.04; 6]) && trips(&[1.0 / 1.04; 6]));
        // 10 of 12 are as many as chance gives once in 50 times, nine are not enough.
        assert!(trips(&[[1.05; 10].as_slice(), &[0.9, 1.0]].concat()));
        assert!(!trips(&[[1.05; 9].as_slice(), &[0.9, 1.0, 1.0]].concat()));
        assert!(trips(&[0.0; 6]), "nothing was answered in the second half");
    }

    #[test]
    fn what_differs_by_chance_or_by_little_is_steady() {
        // As far apart as noise may take them, but not always on the same side.
        assert_eq!(steady_state("throughput", &[0.8, 1.3, 0.7, 1.2, 0.9, 1.5]), Gate::Passes);
        assert_eq!(steady_state("throughput", &[1.029; 100]), Gate::Passes);
    }

    #[test]
    fn fewer_than_six_blocks_are_not_judged() {
        assert_eq!(steady_state("throughput", &[2.0; 5]), Gate::NoInput);
        assert_eq!(steady_state("throughput", &[]), Gate::NoInput);
    }

    #[test]
    fn ratios_are_of_the_second_half() {
        let halves = halves(50_000, 100_000, [1000, 1000]);
        assert_eq!(throughput_ratio(&halves, true), Some(2.0));
        assert_eq!(throughput_ratio(&halves, false), Some(2.0));
        assert_eq!(cpu_ratio(&halves), Some(0.5));
        assert_eq!(latency_ratio(&halves), Some(2.0));
        assert_eq!(latency_ratio(&[HalfFacts::default(); 2]), None);
        assert_eq!(throughput_ratio(&[HalfFacts::default(); 2], true), None);
        assert_eq!(cpu_ratio(&[HalfFacts::default(); 2]), None);
    }

    fn counted(in_flight: f64) -> Facts {
        Facts {
            in_flight_mean: Some(in_flight),
            throughput_rps: Some(500.0),
            latency_s: Some(0.02),
            completed: 2500,
            seconds: 5.0,
            ..Facts::default()
        }
    }

    #[test]
    fn figures_that_contradict_each_other_trip_little_s_law() {
        assert_eq!(little(&counted(10.2)), Gate::Passes);
        for wrong in [9.6, 10.4] {
            assert!(matches!(little(&counted(wrong)), Gate::Trips(_)), "{wrong}");
        }
        let ratio = little_ratio(&counted(10.4)).expect("all known");
        assert!((ratio - 1.04).abs() < 1e-9);
    }

    #[test]
    fn little_s_law_is_judged_over_a_long_time_only() {
        assert_eq!(little(&Facts { seconds: 0.5, completed: 250, ..counted(10.4) }), Gate::Passes);
        assert_eq!(little(&Facts { completed: 99, ..counted(20.0) }), Gate::NoInput);
        assert_eq!(little(&Facts { in_flight_mean: None, ..counted(0.0) }), Gate::NoInput);
        assert_eq!(little(&Facts { latency_s: None, ..counted(20.0) }), Gate::NoInput);
    }
}
