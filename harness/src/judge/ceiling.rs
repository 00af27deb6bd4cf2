//! The ceiling that arithmetic gives a cell, by Little's law: throughput ≤ concurrency / time per request.

use contract::route::Route;

/// A bound on the throughput, and what sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Requests per second.
    pub rps: f64,
    /// What sets it: `concurrency` (the client's) or `blocking_threads` (the server's).
    pub by: &'static str,
}

/// The lowest ceiling of a cell; `None` where a request has no fixed duration.
///
/// `in_flight` requests of the client can be under way at once, on a server that has
/// `blocking_threads` in all its processes, `taken` of them held by interference.
pub fn of(route: Route, in_flight: usize, blocking_threads: Option<usize>, taken: usize) -> Option<Ceiling> {
    let delay = route.delay().as_secs_f64();
    if delay == 0.0 {
        return None;
    }
    let by_client = Ceiling { rps: in_flight as f64 / delay, by: "concurrency" };
    match blocking_threads {
        Some(threads) if route.blocks() && threads.saturating_sub(taken) < in_flight => {
            Some(Ceiling { rps: threads.saturating_sub(taken) as f64 / delay, by: "blocking_threads" })
        }
        _ => Some(by_client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(
        target: &str,
        in_flight: usize,
        threads: Option<usize>,
        taken: usize,
    ) -> Option<(f64, &'static str)> {
        let route = Route::parse_target(target).expect("a route");
        of(route, in_flight, threads, taken).map(|c| (c.rps.round(), c.by))
    }

    #[test]
    fn the_article_s_ceilings() {
        // Sequential: 1 / 0.05 s.
        assert_eq!(ceiling("/wait", 1, Some(512), 0), Some((20.0, "concurrency")));
        // Its pool of 12 threads, and today's of 40.
        assert_eq!(ceiling("/wait", 1000, Some(12), 0), Some((240.0, "blocking_threads")));
        assert_eq!(ceiling("/wait", 1000, Some(40), 0), Some((800.0, "blocking_threads")));
        // One of them computes a Fibonacci number.
        assert_eq!(ceiling("/wait", 1000, Some(40), 1), Some((780.0, "blocking_threads")));
        // 100 connections.
        assert_eq!(ceiling("/asyncwait", 100, Some(40), 0), Some((2000.0, "concurrency")));
    }

    #[test]
    fn what_is_not_known_bounds_nothing() {
        assert_eq!(ceiling("/wait", 1000, None, 0), Some((20_000.0, "concurrency")));
        assert_eq!(ceiling("/plaintext", 1000, Some(512), 0), None);
        assert_eq!(ceiling("/wait?ms=0", 1000, Some(512), 0), None);
    }
}
