//! The ceilings that arithmetic gives a cell: by its schedule, and by Little's law, throughput ≤
//! concurrency / time per request.

use contract::route::Route;

/// A bound on the throughput, and what sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Requests per second.
    pub rps: f64,
    /// What sets it: `offered_rate` (the schedule), `concurrency` (the client's) or `blocking_threads`
    /// (the server's).
    pub by: &'static str,
}

/// What decides a cell's ceilings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Requests that the client can have under way at once. The load engine's connections are the same
    /// number, so they are no further ceiling.
    pub in_flight: usize,
    /// Blocking threads of all the server's processes, if it says.
    pub blocking_threads: Option<usize>,
    /// How many of those interference holds.
    pub taken: usize,
    /// Requests per second of the schedule.
    pub offered_rps: Option<f64>,
}

/// Every ceiling that is known; `route` is none for a path that is not ours.
pub fn all(route: Option<Route>, limits: &Limits) -> Vec<Ceiling> {
    let mut ceilings: Vec<Ceiling> =
        limits.offered_rps.map(|rps| Ceiling { rps, by: "offered_rate" }).into_iter().collect();
    let Some(route) = route.filter(|route| !route.delay().is_zero()) else { return ceilings };
    let delay = route.delay().as_secs_f64();
    if let Some(threads) = limits.blocking_threads.filter(|_| route.blocks()) {
        let free = threads.saturating_sub(limits.taken);
        ceilings.push(Ceiling { rps: free as f64 / delay, by: "blocking_threads" });
    }
    ceilings.push(Ceiling { rps: limits.in_flight as f64 / delay, by: "concurrency" });
    ceilings
}

/// The lowest of them; of two equal ones the later, which is the client's.
pub fn lowest(ceilings: &[Ceiling]) -> Option<Ceiling> {
    ceilings.iter().copied().rev().min_by(|a, b| a.rps.total_cmp(&b.rps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(target: &str, limits: &Limits) -> Option<(f64, &'static str)> {
        lowest(&all(Route::parse_target(target).ok(), limits)).map(|c| (c.rps.round(), c.by))
    }

    fn closed(in_flight: usize, blocking_threads: Option<usize>, taken: usize) -> Limits {
        Limits { in_flight, blocking_threads, taken, offered_rps: None }
    }

    #[test]
    fn the_article_s_ceilings() {
        // Sequential: 1 / 0.05 s.
        assert_eq!(ceiling("/wait", &closed(1, Some(512), 0)), Some((20.0, "concurrency")));
        // Its pool of 12 threads, and today's of 40.
        assert_eq!(ceiling("/wait", &closed(1000, Some(12), 0)), Some((240.0, "blocking_threads")));
        assert_eq!(ceiling("/wait", &closed(1000, Some(40), 0)), Some((800.0, "blocking_threads")));
        // One of them computes a Fibonacci number.
        assert_eq!(ceiling("/wait", &closed(1000, Some(40), 1)), Some((780.0, "blocking_threads")));
        // 100 connections.
        assert_eq!(ceiling("/asyncwait", &closed(100, Some(40), 0)), Some((2000.0, "concurrency")));
        // As many requests as threads: it is the client that has no more.
        assert_eq!(ceiling("/wait", &closed(40, Some(40), 0)), Some((800.0, "concurrency")));
    }

    #[test]
    fn a_schedule_is_a_ceiling_of_its_own() {
        let open = |offered| Limits { offered_rps: Some(offered), ..closed(256, Some(40), 0) };
        assert_eq!(ceiling("/wait", &open(500.0)), Some((500.0, "offered_rate")));
        assert_eq!(ceiling("/wait", &open(5000.0)), Some((800.0, "blocking_threads")));
        assert_eq!(ceiling("/plaintext", &open(5000.0)), Some((5000.0, "offered_rate")));
        assert_eq!(ceiling("/somebody's", &open(10.0)), Some((10.0, "offered_rate")));
        assert_eq!(all(Route::parse_target("/wait").ok(), &open(500.0)).len(), 3);
    }

    #[test]
    fn what_is_not_known_bounds_nothing() {
        assert_eq!(ceiling("/wait", &closed(1000, None, 0)), Some((20_000.0, "concurrency")));
        assert_eq!(ceiling("/plaintext", &closed(1000, Some(512), 0)), None);
        assert_eq!(ceiling("/wait?ms=0", &closed(1000, Some(512), 0)), None);
    }
}
