//! Whether equal work takes equal CPU on every server: the same computation, compiled into each of them. If it does
//! not, the servers were built unlike each other, and every figure with a computation in it is of the compiler.

use super::server::Server;
use crate::host::usage;
use crate::verify::{Answer, DeclaredRoute, ask};
use anyhow::{Result, anyhow, bail};
use contract::route::Route;
use serde::{Deserialize, Serialize};
use stats::bootstrap::Interval;
use stats::difference::median_interval;
use std::fmt;
use std::time::Duration;

/// The work: a computation on the blocking pool, long against what it takes to ask for it.
pub const WORK: &str = "/fib/34";
/// How far from the median of the servers one may be, as a part of it.
const BOUND: f64 = 0.02;
/// How sure it has to be that a server is within the bound, or beyond it.
const CONFIDENCE: f64 = 0.99;
/// Rounds: in each every server is asked once. What disturbs the machine falls on all of a round alike.
const ROUNDS: usize = 30;
/// On a machine that others use it may take more of them.
const MOST_ROUNDS: usize = 150;
/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The CPU time of the work on each server.
#[derive(Debug, Serialize, Deserialize)]
pub struct EqualWork(Vec<Side>);

#[derive(Debug, Serialize, Deserialize)]
struct Side {
    server: String,
    /// CPU seconds in each round.
    seconds: Vec<f64>,
}

/// What the rounds say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every server is within the bound.
    Equal,
    /// Some server is beyond it.
    Unlike,
    /// Neither is sure: the machine is too noisy.
    NotTold,
}

/// Asks running servers for the work, in turns.
///
/// # Errors
/// A server does not answer it.
pub(super) fn measure(servers: &[(String, &Server)]) -> Result<EqualWork> {
    let right = Route::parse_target(WORK).map_err(|refusal| anyhow!("{WORK}: {refusal}"))?.expected();
    let route = DeclaredRoute::get(WORK, Answer::Exact(right.body.into_owned()));
    let side = |(name, _): &(String, _)| Side { server: name.clone(), seconds: Vec::new() };
    let mut work = EqualWork(servers.iter().map(side).collect());
    for round in 1..=MOST_ROUNDS {
        for ((name, server), side) in servers.iter().zip(&mut work.0) {
            let pids = server.tree().pids();
            let before = usage::cpu_time(&pids);
            if let Some(mismatch) = ask(server.addr, &route, PATIENCE)? {
                bail!("{name} {WORK}: {mismatch}");
            }
            side.seconds.push(usage::cpu_time(&pids).saturating_sub(before).as_secs_f64());
        }
        if round.is_multiple_of(ROUNDS) && work.verdict() == Verdict::Equal {
            break;
        }
    }
    Ok(work)
}

impl EqualWork {
    /// Says whether the servers are alike.
    pub fn verdict(&self) -> Verdict {
        let intervals = self.intervals();
        let ends = || intervals.iter().map(|interval| interval.as_ref().map(|i| (i.low, i.high)));
        let (low, high) = (1.0 - BOUND, 1.0 + BOUND);
        if ends().flatten().any(|(from, to)| from > high || to < low) {
            Verdict::Unlike
        } else if ends().all(|ends| ends.is_some_and(|(from, to)| from >= low && to <= high)) {
            Verdict::Equal
        } else {
            Verdict::NotTold
        }
    }

    /// The interval of each server's time / the median of its round.
    fn intervals(&self) -> Vec<Option<Interval>> {
        // Of an agent's answer nobody knows whether all have as many.
        let rounds = self.0.iter().map(|side| side.seconds.len()).min().unwrap_or(0);
        let middle: Vec<f64> =
            (0..rounds).map(|round| middle(self.0.iter().map(|side| side.seconds[round]))).collect();
        let ratios = |side: &Side| -> Vec<f64> {
            side.seconds.iter().zip(&middle).map(|(seconds, middle)| seconds / middle).collect()
        };
        self.0.iter().map(|side| median_interval(&ratios(side), CONFIDENCE)).collect()
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    stats::median(&values.collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

impl fmt::Display for EqualWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.0.len();
        let ms = 1e3 * middle(self.0.iter().map(|side| middle(side.seconds.iter().copied())));
        let beyond = |interval: &Interval| interval.low > 1.0 + BOUND || interval.high < 1.0 - BOUND;
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        match self.verdict() {
            Verdict::Equal => {
                write!(
                    f,
                    "{WORK} takes {ms:.1} ms of CPU on each of {servers} servers, within {:.0}%",
                    100.0 * BOUND
                )
            }
            Verdict::NotTold => {
                write!(
                    f,
                    "not told: the machine is too noisy to say whether {WORK} takes the same CPU everywhere"
                )
            }
            Verdict::Unlike => {
                let lines = self.0.iter().zip(self.intervals()).filter_map(|(side, interval)| {
                    let interval = interval.filter(beyond)?;
                    Some(format!(
                        "{}: {WORK} takes {:+.1} to {:+.1}% of CPU against the median of {servers} servers, {ms:.1} ms",
                        side.server,
                        percent(interval.low),
                        percent(interval.high)
                    ))
                });
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers whose times are these parts of 13 ms, each with some noise, and now and then a round that was disturbed.
    fn of(parts: &[f64], noise: f64) -> EqualWork {
        let side = |(place, part): (usize, &f64)| {
            let at = |round: usize| {
                let wave = ((round * 7 + place * 5) % 11) as f64 / 5.0 - 1.0;
                let disturbed = if round.is_multiple_of(6) { 1.2 } else { 1.0 };
                0.013 * part * disturbed * (1.0 + noise * wave)
            };
            Side { server: format!("s{place}"), seconds: (0..60).map(at).collect() }
        };
        EqualWork(parts.iter().enumerate().map(side).collect())
    }

    #[test]
    fn a_server_that_is_unlike_the_others_is_named() {
        let equal = of(&[1.0, 0.995, 1.005], 0.002);
        assert_eq!(equal.verdict(), Verdict::Equal);
        assert_eq!(equal.to_string(), "/fib/34 takes 13.0 ms of CPU on each of 3 servers, within 2%");
        let unlike = of(&[1.0, 1.2, 1.0, 1.001, 0.92], 0.002);
        assert_eq!(unlike.verdict(), Verdict::Unlike);
        let text = unlike.to_string();
        assert!(text.starts_with("s1: /fib/34 takes +1") && text.contains("\ns4: /fib/34 takes -"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn rounds_that_not_all_servers_have_do_not_count() {
        let mut work = of(&[1.0, 0.995, 1.005], 0.002);
        work.0[0].seconds.push(1.0);
        work.0[2].seconds.pop();
        assert_eq!(work.verdict(), Verdict::Equal);
        work.0[1].seconds.clear();
        assert_eq!(work.verdict(), Verdict::NotTold);
        assert_eq!(EqualWork(Vec::new()).verdict(), Verdict::Equal);
    }

    #[test]
    fn noise_is_no_difference() {
        let noisy = of(&[1.0, 1.015, 1.0], 0.2);
        assert_eq!(noisy.verdict(), Verdict::NotTold);
        assert!(noisy.to_string().starts_with("not told"));
    }
}
