//! Whether equal work takes equal CPU on every server: the same computation, compiled into each of them. If it does
//! not, the servers were built unlike each other, and every figure with a computation in it is of the compiler.

use super::server::Server;
use crate::host::usage;
use crate::verify::{Answer, DeclaredRoute, ask};
use anyhow::{Result, anyhow, bail};
use contract::route::Route;
use std::fmt;
use std::time::Duration;

/// The work: a computation on the blocking pool, long against what it takes to ask for it.
pub const WORK: &str = "/fib/34";
/// How far from the median a server may be.
const BOUND: f64 = 0.02;
/// Requests to each server, one after the other in turns. The least CPU of them is what nothing disturbed.
const ROUNDS: usize = 30;
/// On a machine that others use it may take more of them.
const MOST_ROUNDS: usize = 150;
/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The least CPU time of the work on each server.
#[derive(Debug)]
pub struct EqualWork(Vec<(String, Duration)>);

/// Asks running servers for the work, in turns.
///
/// # Errors
/// A server does not answer it.
pub fn measure(servers: &[(&str, &Server)]) -> Result<EqualWork> {
    let right = Route::parse_target(WORK).map_err(|refusal| anyhow!("{WORK}: {refusal:?}"))?.expected();
    let route = DeclaredRoute::get(WORK, Answer::Exact(right.body.into_owned()));
    let mut least = EqualWork(servers.iter().map(|(name, _)| ((*name).to_owned(), Duration::MAX)).collect());
    for round in 1..=MOST_ROUNDS {
        for ((name, server), (_, least)) in servers.iter().zip(&mut least.0) {
            let pids = server.tree().pids();
            let before = usage::cpu_time(&pids);
            if let Some(mismatch) = ask(server.addr, &route, PATIENCE)? {
                bail!("{name} {WORK}: {mismatch}");
            }
            *least = (*least).min(usage::cpu_time(&pids).saturating_sub(before));
        }
        if round >= ROUNDS && least.is_equal() {
            break;
        }
    }
    Ok(least)
}

impl EqualWork {
    /// Whether every server is near the others.
    pub fn is_equal(&self) -> bool {
        self.unlike().next().is_none()
    }

    /// The servers that are not, each with its CPU time and by how much that differs from the median.
    fn unlike(&self) -> impl Iterator<Item = (&str, Duration, f64)> {
        let median = self.median();
        self.0.iter().filter_map(move |(name, least)| {
            let by = least.as_secs_f64() / median - 1.0;
            (by.abs() > BOUND).then_some((name.as_str(), *least, by))
        })
    }

    /// Seconds.
    fn median(&self) -> f64 {
        stats::median(&self.0.iter().map(|(_, least)| least.as_secs_f64()).collect::<Vec<_>>())
            .unwrap_or(f64::NAN)
    }
}

impl fmt::Display for EqualWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, servers) = (self.median(), self.0.len());
        if self.is_equal() {
            let farthest = self.0.iter().map(|(_, least)| (least.as_secs_f64() / median - 1.0).abs());
            let farthest = farthest.fold(0.0, f64::max);
            return write!(
                f,
                "{WORK} takes {:.2} ms of CPU, within {:.1}%, on each of {servers} servers",
                median * 1e3,
                farthest * 1e2
            );
        }
        let lines = self.unlike().map(|(name, least, by)| {
            let (ms, more) = (least.as_secs_f64() * 1e3, if by > 0.0 { "more" } else { "less" });
            let percent = by.abs() * 1e2;
            format!("{name}: {WORK} takes {ms:.2} ms of CPU, {percent:.1}% {more} than the median of {servers} servers")
        });
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: &[f64]) -> EqualWork {
        let name = |i| char::from(b'a' + i as u8).to_string();
        let least = milliseconds.iter().map(|ms| Duration::from_secs_f64(ms / 1e3));
        EqualWork(least.enumerate().map(|(i, least)| (name(i), least)).collect())
    }

    #[test]
    fn a_server_that_is_unlike_the_others_is_named() {
        let equal = of(&[13.0, 12.9, 13.1]);
        assert!(equal.is_equal());
        assert_eq!(equal.to_string(), "/fib/34 takes 13.00 ms of CPU, within 0.8%, on each of 3 servers");
        let unlike = of(&[13.0, 15.6, 13.1, 13.0, 12.0]);
        assert!(!unlike.is_equal());
        assert_eq!(
            unlike.to_string(),
            "b: /fib/34 takes 15.60 ms of CPU, 20.0% more than the median of 5 servers\n\
             e: /fib/34 takes 12.00 ms of CPU, 7.7% less than the median of 5 servers"
        );
    }
}
