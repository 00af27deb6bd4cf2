//! What a row measured its server with: rows of the same workload are compared, and no others.

use super::row::Row;
use contract::route::{ROUTES, Route};
use load::Strategy;
use std::fmt;

/// Everything that makes a cell but its server. Ordered as tables show it: by condition, route, load, client.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    processes: usize,
    interference: String,
    route_place: Option<usize>,
    route: String,
    /// The article's strategies first: they have a number.
    is_timed: bool,
    requests: Option<u64>,
    strategy_place: Option<usize>,
    strategy: String,
    concurrency: usize,
    // As bits, which are ordered like the positive numbers they stand for.
    offered_rps: Option<u64>,
    arrival: String,
    duration_s: Option<u64>,
    warmup_s: Option<u64>,
    placement: String,
}

impl Workload {
    /// That of a row.
    pub fn of(row: &Row) -> Workload {
        let name = Route::parse_target(&row.route).map(Route::name).ok();
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        // Before there was a column for it, both shared all CPUs.
        let placement = if row.schema_version == 1 { "shared" } else { &row.placement };
        Workload {
            processes: row.processes,
            interference: row.interference.clone(),
            route_place: ROUTES.iter().position(|route| Some(route.name) == name),
            route: row.route.clone(),
            is_timed: row.requests.is_none(),
            requests: row.requests,
            strategy_place: Strategy::ALL.iter().position(|strategy| strategy.name() == row.strategy),
            strategy: row.strategy.clone(),
            concurrency: row.concurrency,
            offered_rps: bits(row.offered_rps),
            arrival: row.arrival.clone(),
            duration_s: bits(row.duration_s),
            warmup_s: bits(row.warmup_s),
            placement: placement.to_owned(),
        }
    }

    /// Whether it is the load engine's, and runs for a time; the article's run for a number of requests.
    pub fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// What the client does: `async, 1000 by 100`, `open-loop, 500/s poisson, 256 connections`.
    pub fn work(&self) -> String {
        let mut words = vec![self.strategy.clone()];
        match self.requests {
            Some(requests) if self.strategy == "sequential" || self.concurrency as u64 == requests => {
                words.push(requests.to_string());
            }
            Some(requests) => words.push(format!("{requests} by {}", self.concurrency)),
            None => {
                if let Some(rate) = self.offered_rps.map(f64::from_bits) {
                    words.push(format!("{rate}/s {}", self.arrival).trim().to_owned());
                }
                words.push(format!("{} connections", self.concurrency));
            }
        }
        words.join(", ")
    }

    /// Path and query.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// What else goes on, where that is more than one process: `2 processes + fib/42@1`.
    pub fn condition(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.processes > 1 {
            words.push(format!("{} processes", self.processes));
        }
        if !self.interference.is_empty() {
            words.push(format!("+ {}", self.interference));
        }
        (!words.is_empty()).then(|| words.join(" "))
    }
}

impl fmt::Display for Workload {
    /// `/wait, async, 1000, 2 processes + fib/42@1`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.route, self.work())?;
        match self.condition() {
            Some(condition) => write!(f, ", {condition}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_is_measured() {
        let mut row = Row {
            route: "/wait".into(),
            strategy: "async".into(),
            requests: Some(1000),
            concurrency: 1000,
            processes: 1,
            ..Row::default()
        };
        assert_eq!(Workload::of(&row).to_string(), "/wait, async, 1000");
        (row.concurrency, row.processes, row.interference) = (100, 2, "fib/42@1".into());
        assert_eq!(Workload::of(&row).to_string(), "/wait, async, 1000 by 100, 2 processes + fib/42@1");
        (row.requests, row.strategy, row.offered_rps) = (None, "open-loop".into(), Some(500.0));
        row.arrival = "poisson".into();
        let label = "/wait, open-loop, 500/s poisson, 100 connections, 2 processes + fib/42@1";
        assert_eq!(Workload::of(&row).to_string(), label);
    }

    #[test]
    fn two_placements_are_two_workloads_and_old_rows_shared_their_cpus() {
        let row = |schema_version, placement: &str| Row {
            schema_version,
            placement: placement.into(),
            ..Row::default()
        };
        assert_ne!(Workload::of(&row(2, "split")), Workload::of(&row(2, "shared")));
        assert_eq!(Workload::of(&row(1, "")), Workload::of(&row(2, "shared")));
    }
}
