//! Whether the measured time was one state and not two, and whether its figures fit each other.

use super::facts::{Facts, HalfFacts};
use super::gate::Gate;

/// The halves may differ by so much. On a quiet virtual machine those of one server differed by up to 4%
/// in throughput and by 3% in CPU time per request.
const HALVES: f64 = 0.05;
/// The halves' CPU time per request may differ by so much where the server sleeps most of the time: what
/// a request costs then depends on how deep it slept: of 351 rows 95% were within 25%, three beyond 40%.
const HALVES_ASLEEP: f64 = 0.4;
/// A server that uses less of its CPUs' time sleeps most of the time.
const ASLEEP: f64 = 0.5;
/// Little's law may be missed by so much.
const LITTLE: f64 = 0.03;
/// Chance is given so many standard errors: it exceeds them once in 370 rows.
const ERRORS: f64 = 3.0;
/// Little's law is judged from so many requests on.
const ENOUGH: u64 = 100;

/// Throughput of the second half / that of the first; with a schedule each per request that was due, so
/// that the schedule's own chance is not taken for the server's. `None` where the first has none.
pub fn throughput_ratio(halves: &[HalfFacts; 2], open: bool) -> Option<f64> {
    let of = |half: &HalfFacts| {
        let by = if open { half.due as f64 } else { half.seconds };
        (by > 0.0).then(|| half.completed as f64 / by)
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

fn ratio(second: f64, first: f64) -> Option<f64> {
    (first > 0.0).then_some(second / first)
}

/// `in_flight_mean` / (throughput × mean latency).
pub fn little_ratio(facts: &Facts) -> Option<f64> {
    ratio(facts.in_flight_mean?, facts.throughput_rps? * facts.latency_s?)
}

/// Requests under way on average: counted, or by Little's law, and one at the least.
pub fn in_flight(facts: &Facts) -> f64 {
    let by_law = facts.throughput_rps.zip(facts.latency_s).map(|(rate, latency)| rate * latency);
    facts.in_flight_mean.or(by_law).unwrap_or(facts.concurrency as f64).max(1.0)
}

/// The two halves agree, beyond what chance allows.
pub fn steady_state(facts: &Facts) -> Gate {
    let Some(halves) = &facts.halves else { return Gate::NoInput };
    let mean = halves.iter().map(|half| half.completed as f64).sum::<f64>() / 2.0;
    if mean < 1.0 {
        return Gate::NoInput;
    }
    if halves[0].completed == 0 && mean > ERRORS * ERRORS {
        return Gate::Trips("nothing was answered in the first half".into());
    }
    // Of independent events as many as n vary by √n.
    let poisson = ERRORS * (2.0 / mean).sqrt();
    let chance = match facts.open {
        // What is due is known; only what is under way at the three ends of the halves varies, and the
        // one in the middle counts twice: √(1 + 4 + 1) times as much as one of them.
        true => ERRORS * (6.0 * in_flight(facts)).sqrt() / mean,
        // A wave of all connections may fall on either side of the middle.
        false => poisson.max(facts.concurrency as f64 / mean),
    };
    let asleep = facts.server_utilisation.is_some_and(|used| used < ASLEEP);
    let of_cpu = if asleep { HALVES_ASLEEP } else { HALVES };
    let checks = [
        ("throughput", throughput_ratio(halves, facts.open), HALVES.max(chance)),
        // Costs that vary as much as their mean.
        ("CPU per request", cpu_ratio(halves), of_cpu.max(poisson)),
    ];
    for (what, ratio, limit) in checks {
        if let Some(change) = ratio.map(|ratio| ratio - 1.0)
            && change.abs() > limit
        {
            let (change, limit) = (change * 100.0, limit * 100.0);
            return Gate::Trips(format!("{what} of the second half {change:+.1}%, beyond ±{limit:.1}%"));
        }
    }
    Gate::Passes
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
        true => {
            Gate::Trips(format!("in flight / (throughput × latency) is {ratio:.3}, beyond 1 ± {limit:.3}"))
        }
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
            server_cpu: Some(Duration::from_millis(ms)),
        };
        [half(first, cpu_ms[0]), half(second, cpu_ms[1])]
    }

    fn facts(halves: [HalfFacts; 2], open: bool) -> Facts {
        Facts { halves: Some(halves), open, concurrency: 64, ..Facts::default() }
    }

    fn trips(facts: &Facts) -> bool {
        matches!(steady_state(facts), Gate::Trips(_))
    }

    #[test]
    fn halves_that_differ_trip_the_gate() {
        for open in [true, false] {
            assert_eq!(steady_state(&facts(halves(100_000, 99_000, [1000, 1000]), open)), Gate::Passes);
            assert!(trips(&facts(halves(100_000, 94_000, [1000, 940]), open)));
            assert!(trips(&facts(halves(94_000, 100_000, [940, 1000]), open)));
            let cpu = facts(halves(100_000, 100_000, [1000, 1060]), open);
            assert!(trips(&cpu), "CPU alone");
            // Waking up costs now more, now less.
            assert_eq!(steady_state(&Facts { server_utilisation: Some(0.1), ..cpu.clone() }), Gate::Passes);
            assert!(trips(&Facts { server_utilisation: Some(0.9), ..cpu }));
            let more = facts(halves(100_000, 100_000, [1000, 1450]), open);
            assert!(trips(&Facts { server_utilisation: Some(0.1), ..more }));
        }
        assert_eq!(
            steady_state(&facts(halves(100_000, 90_000, [1000, 900]), false)),
            Gate::Trips("throughput of the second half -10.0%, beyond ±5.0%".into())
        );
        assert!(trips(&facts(halves(0, 100, [0, 1]), false)));
    }

    #[test]
    fn chance_is_no_change() {
        // 100 ± 10 and 85 ± 9 are the same; 1000 and 850 are not.
        assert_eq!(steady_state(&facts(halves(100, 85, [10, 9]), false)), Gate::Passes);
        assert!(trips(&Facts { concurrency: 1, ..facts(halves(1000, 850, [100, 85]), false) }));
        // 256 connections answered in one wave.
        let wave = facts(halves(1280, 1024, [100, 80]), false);
        assert!(trips(&Facts { concurrency: 1, ..wave.clone() }));
        assert_eq!(steady_state(&Facts { concurrency: 256, ..wave }), Gate::Passes);
        // With a schedule a handful of requests under way is all that varies.
        let mut due = halves(1000, 930, [100, 93]);
        due.iter_mut().for_each(|half| half.due = 1000);
        assert!(trips(&Facts { in_flight_mean: Some(5.0), ..facts(due, true) }));
        assert_eq!(steady_state(&Facts { in_flight_mean: Some(100.0), ..facts(due, true) }), Gate::Passes);
    }

    #[test]
    fn without_halves_nothing_is_judged() {
        assert_eq!(steady_state(&Facts::default()), Gate::NoInput);
        assert_eq!(steady_state(&facts(halves(0, 0, [0, 0]), true)), Gate::NoInput);
    }

    #[test]
    fn ratios_are_of_the_second_half() {
        let halves = halves(50_000, 100_000, [1000, 1000]);
        assert_eq!(throughput_ratio(&halves, true), Some(2.0));
        assert_eq!(throughput_ratio(&halves, false), Some(2.0));
        assert_eq!(cpu_ratio(&halves), Some(0.5));
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
        assert_eq!(little(&Facts { seconds: 0.5, ..counted(10.4) }), Gate::Passes);
        assert_eq!(little(&Facts { completed: 99, ..counted(20.0) }), Gate::NoInput);
        assert_eq!(little(&Facts { in_flight_mean: None, ..counted(0.0) }), Gate::NoInput);
        assert_eq!(little(&Facts { latency_s: None, ..counted(20.0) }), Gate::NoInput);
    }
}
