//! How long a server has to be loaded, after it had nothing to do, until a request costs what it costs in the long
//! run. Some have a state that depends on that (docs/methodology.md).

use std::time::Duration;

/// The windows, one after the other, in which the first requests after idling are looked at. The last one is the
/// long run.
pub const WINDOWS: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(30),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(700),
];

/// How often that is looked at. That all of five lie on one side by chance happens once in sixteen times.
pub const ROUNDS: usize = 5;

/// A cost may be so much from that of the long run, as a ratio − 1.
const WITHIN: f64 = 0.02;

/// The lead-in that keeps every server within 2% of its cost in the long run. `costs` are those of each server in
/// each of [`WINDOWS`], a value for each round. A window is beyond 2% if it is in every round, on the same side.
pub fn lead_in(costs: &[Vec<Vec<f64>>]) -> Duration {
    let is_steady = |windows: &[Vec<f64>], window: usize| {
        let Some(steady) = windows.last() else { return true };
        let logs = windows[window].iter().zip(steady).map(|(cost, steady)| (cost / steady).ln());
        let logs: Vec<f64> = logs.collect();
        let limit = WITHIN.ln_1p();
        !(logs.iter().all(|log| *log > limit) || logs.iter().all(|log| *log < -limit))
    };
    // The last window after which nothing of a server is unsteady any more.
    let needed = |windows: &Vec<Vec<f64>>| {
        let last = (0..windows.len().saturating_sub(1)).rev().find(|window| !is_steady(windows, *window));
        last.map_or(0, |window| window + 1)
    };
    let windows = costs.iter().map(needed).max().unwrap_or(0);
    WINDOWS.iter().take(windows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five rounds of a server that costs so much in each window, give or take what is said.
    fn costs(levels: [f64; 5], noise: f64) -> Vec<Vec<f64>> {
        let round = |level: f64, round: usize| level * (1.0 + noise * (round as f64 - 2.0) / 2.0);
        levels.iter().map(|level| (0..ROUNDS).map(|k| round(*level, k)).collect()).collect()
    }

    #[test]
    fn the_server_that_needs_the_longest_decides() {
        let steady = costs([10.0; 5], 0.0);
        let short = costs([11.0, 10.0, 10.0, 10.0, 10.0], 0.0);
        let long = costs([15.0, 15.0, 14.0, 12.0, 10.0], 0.0);
        let cheap_at_first = costs([10.0, 10.0, 9.0, 10.0, 10.0], 0.0);
        let ms = |costs: &[Vec<Vec<f64>>]| lead_in(costs).as_millis();
        assert_eq!(ms(std::slice::from_ref(&steady)), 0);
        assert_eq!(ms(&[steady.clone(), short.clone()]), 20);
        assert_eq!(ms(&[short, cheap_at_first.clone()]), 100);
        assert_eq!(ms(&[steady, long, cheap_at_first]), 300);
        assert_eq!(ms(&[]), 0);
    }

    #[test]
    fn within_two_per_cent_is_steady_and_so_is_what_noise_may_be() {
        assert_eq!(lead_in(&[costs([10.19, 9.81, 10.0, 10.0, 10.0], 0.0)]), Duration::ZERO);
        // Dear in four rounds of five.
        let mut noisy = costs([12.0, 10.0, 10.0, 10.0, 10.0], 0.0);
        noisy[0][3] = 9.9;
        assert_eq!(lead_in(&[noisy]), Duration::ZERO);
    }
}
