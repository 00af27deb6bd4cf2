//! The routes: from a method and a request target to what is asked, and what the answer must be.

use crate::fib;
use crate::reply::{JSON, Reply, TEXT};
use std::time::Duration;

/// The wait when `?ms=` is absent: the article's 50 ms.
pub const DEFAULT_WAIT: Duration = Duration::from_millis(50);
/// The longest wait `?ms=` may ask for, in milliseconds.
pub const MAX_WAIT_MS: u32 = 60_000;
/// The largest n of `/fib` and `/parfib`: a few seconds of one core.
pub const MAX_FIB: u32 = 45;
/// The largest n of `/asyncfib`, which nothing else on its executor thread survives for long.
pub const MAX_ASYNC_FIB: u32 = 36;
/// The path that panics, for the servers that were started with `--panic-route`.
pub const PANIC_PATH: &str = "/panic";
/// The reply of `/plaintext`.
pub const PLAINTEXT: &str = "Hello, World!";

/// What a route is called on command lines and in result files, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// The first segment of its path.
    pub name: &'static str,
    /// Its path, with parameters in braces.
    pub template: &'static str,
    /// A path to measure or to try when no parameter is given.
    pub example: &'static str,
    /// One line for `harness list`.
    pub summary: &'static str,
}

/// Every route, in the order `harness list` shows them.
pub const ROUTES: [RouteInfo; 6] = [
    RouteInfo {
        name: "plaintext",
        template: "/plaintext",
        example: "/plaintext",
        summary: "13 constant bytes: what a request costs by itself",
    },
    RouteInfo {
        name: "wait",
        template: "/wait?ms=50",
        example: "/wait",
        summary: "a blocking sleep on the blocking pool",
    },
    RouteInfo {
        name: "asyncwait",
        template: "/asyncwait?ms=50",
        example: "/asyncwait",
        summary: "an async sleep on the runtime's timer",
    },
    RouteInfo {
        name: "fib",
        template: "/fib/{n}",
        example: "/fib/30",
        summary: "naive recursive Fibonacci on the blocking pool, n up to 45",
    },
    RouteInfo {
        name: "asyncfib",
        template: "/asyncfib/{n}",
        example: "/asyncfib/25",
        summary: "the same, every call an awaited async call, on the executor, n up to 36",
    },
    RouteInfo {
        name: "parfib",
        template: "/parfib/{n}",
        example: "/parfib/30",
        summary: "the same on rayon's join, n up to 45",
    },
];

/// The cheapest route: what readiness checks and probes ask for.
pub const PROBE: &RouteInfo = &ROUTES[0];

/// A request that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Constant bytes.
    Plaintext,
    /// A blocking sleep on the blocking pool.
    Wait(Duration),
    /// A sleep on the runtime's timer.
    AsyncWait(Duration),
    /// Fibonacci on the blocking pool.
    Fib(u32),
    /// Fibonacci as awaited async calls on the executor.
    AsyncFib(u32),
    /// Fibonacci on rayon, started from the blocking pool.
    ParFib(u32),
    /// A panic in the handler.
    Panic,
}

impl Route {
    /// Parses a request. The path comes without its query.
    ///
    /// # Errors
    /// The reply to send instead: 404 for an unknown path, else 405 for a method other than GET and
    /// HEAD, else 422 for a parameter out of its range.
    pub fn parse(method: &str, path: &str, query: Option<&str>, panic_route: bool) -> Result<Route, Reply> {
        let (name, parameter) = match path.strip_prefix('/').and_then(|p| p.split_once('/')) {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (path.strip_prefix('/').unwrap_or_default(), None),
        };
        let known = match (name, parameter) {
            ("plaintext" | "wait" | "asyncwait", None) => true,
            ("fib" | "asyncfib" | "parfib", Some(n)) => !n.is_empty() && !n.contains('/'),
            ("panic", None) => panic_route,
            _ => false,
        };
        if !known {
            return Err(Reply::error(404, &no_such_path()));
        }
        if method != "GET" && method != "HEAD" {
            return Err(Reply {
                allow: Some("GET, HEAD"),
                ..Reply::error(405, "only GET and HEAD are allowed")
            });
        }
        match (name, parameter) {
            ("plaintext", _) => Ok(Route::Plaintext),
            ("wait", _) => wait_parameter(query).map(Route::Wait),
            ("asyncwait", _) => wait_parameter(query).map(Route::AsyncWait),
            ("fib", Some(n)) => fib_parameter(n, MAX_FIB).map(Route::Fib),
            ("asyncfib", Some(n)) => fib_parameter(n, MAX_ASYNC_FIB).map(Route::AsyncFib),
            ("parfib", Some(n)) => fib_parameter(n, MAX_FIB).map(Route::ParFib),
            _ => Ok(Route::Panic),
        }
    }

    /// Parses a path with an optional query, as a GET.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn parse_target(target: &str) -> Result<Route, String> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Route::parse("GET", path, query, false).map_err(|reply| {
            let detail = serde_json::from_str::<serde_json::Value>(&reply.body).ok();
            detail.as_ref().and_then(|d| d["detail"].as_str()).unwrap_or("not a route").to_owned()
        })
    }

    /// The route's name in [`ROUTES`].
    pub fn name(self) -> &'static str {
        match self {
            Route::Plaintext => "plaintext",
            Route::Wait(_) => "wait",
            Route::AsyncWait(_) => "asyncwait",
            Route::Fib(_) => "fib",
            Route::AsyncFib(_) => "asyncfib",
            Route::ParFib(_) => "parfib",
            Route::Panic => "panic",
        }
    }

    /// The time a request must take at the least, whatever the server: the wait it asks for.
    pub fn delay(self) -> Duration {
        match self {
            Route::Wait(delay) | Route::AsyncWait(delay) => delay,
            _ => Duration::ZERO,
        }
    }

    /// Whether a request occupies a thread of the blocking pool while it is answered.
    pub fn blocks(self) -> bool {
        matches!(self, Route::Wait(_) | Route::Fib(_) | Route::ParFib(_))
    }

    /// The reply of a server that is right; its `elapsed` is zero.
    pub fn expected(self) -> Reply {
        match self {
            Route::Plaintext => Reply::ok(TEXT, PLAINTEXT),
            // Debug prints the shortest form with a decimal point: 0.05, 1.0. Not as_secs_f64: it adds two
            // rounded parts, and makes 1.1179999999999999 of 1118 ms.
            Route::Wait(delay) | Route::AsyncWait(delay) => {
                Reply::ok(JSON, format!("{{\"duration\":{:?}}}", delay.as_millis() as f64 / 1e3))
            }
            Route::Fib(n) | Route::AsyncFib(n) | Route::ParFib(n) => fib_reply(fib::value(n)),
            Route::Panic => Reply::error(500, "the handler panicked"),
        }
    }
}

/// The reply of the three Fibonacci routes.
pub(crate) fn fib_reply(value: u64) -> Reply {
    Reply::ok(JSON, format!("{{\"fib\":{value}}}"))
}

/// The path and query that `given` means on a command line: a path, a route's name, or a name with its
/// parameter (`wait`, `fib/30`, `/asyncwait?ms=5`).
///
/// # Errors
/// One line that says what is wrong with it.
pub fn target(given: &str) -> Result<String, String> {
    let bare = given.strip_prefix('/').unwrap_or(given);
    if let Some(route) = ROUTES.iter().find(|route| route.name == bare) {
        return Ok(route.example.to_owned());
    }
    let path = format!("/{bare}");
    Route::parse_target(&path).map(|_| path)
}

fn no_such_path() -> String {
    let templates: Vec<&str> =
        ROUTES.iter().map(|r| r.template.split('?').next().unwrap_or_default()).collect();
    format!("no such path: there are {}", templates.join(", "))
}

fn wait_parameter(query: Option<&str>) -> Result<Duration, Reply> {
    let refuse =
        || Reply::error(422, &format!("ms must be a whole number from 0 to {MAX_WAIT_MS}, given once"));
    let mut given =
        query.into_iter().flat_map(|q| q.split('&')).filter_map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name == "ms").then_some(value),
            None => (pair == "ms").then_some(""),
        });
    let Some(value) = given.next() else { return Ok(DEFAULT_WAIT) };
    match (decimal(value), given.next()) {
        (Some(ms), None) if ms <= MAX_WAIT_MS => Ok(Duration::from_millis(ms.into())),
        _ => Err(refuse()),
    }
}

fn fib_parameter(n: &str, max: u32) -> Result<u32, Reply> {
    decimal(n)
        .filter(|n| *n <= max)
        .ok_or_else(|| Reply::error(422, &format!("n must be a whole number from 0 to {max}")))
}

/// Digits only: `parse` alone would also take a plus sign.
fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, path: &str, query: Option<&str>) -> u16 {
        Route::parse(method, path, query, false).map_or_else(|reply| reply.status, |_| 200)
    }

    #[test]
    fn replies_are_the_article_s() {
        assert_eq!(Route::Wait(DEFAULT_WAIT).expected().body, r#"{"duration":0.05}"#);
        assert_eq!(Route::AsyncWait(Duration::from_secs(1)).expected().body, r#"{"duration":1.0}"#);
        assert_eq!(Route::Wait(Duration::from_millis(1118)).expected().body, r#"{"duration":1.118}"#);
        assert_eq!(Route::Wait(Duration::ZERO).expected().body, r#"{"duration":0.0}"#);
        assert_eq!(Route::Fib(30).expected().body, r#"{"fib":1346269}"#);
    }

    #[test]
    fn parameters_are_checked() {
        for (path, query, expected) in [
            ("/fib/0", None, 200),
            ("/fib/45", None, 200),
            ("/fib/46", None, 422),
            ("/fib/-1", None, 422),
            ("/fib/+1", None, 422),
            ("/fib/3.0", None, 422),
            ("/fib/x", None, 422),
            ("/fib/99999999999999999999", None, 422),
            ("/asyncfib/36", None, 200),
            ("/asyncfib/37", None, 422),
            ("/wait", Some("ms=0"), 200),
            ("/wait", Some("ms=60000"), 200),
            ("/wait", Some("ms=60001"), 422),
            ("/wait", Some("ms="), 422),
            ("/wait", Some("ms"), 422),
            ("/wait", Some("ms=1&ms=2"), 422),
            ("/wait", Some("other=1"), 200),
            ("/wait", Some(""), 200),
        ] {
            assert_eq!(status("GET", path, query), expected, "{path}?{query:?}");
        }
    }

    #[test]
    fn unknown_paths_come_before_methods_before_parameters() {
        for path in
            ["/", "", "/nosuch", "/fib", "/fib/", "/fib/3/4", "/wait/", "//wait", "/panic", "wait", "*"]
        {
            assert_eq!(status("POST", path, None), 404, "{path}");
        }
        assert_eq!(status("POST", "/fib/x", None), 405);
        assert_eq!(status("get", "/wait", None), 405);
        assert_eq!(Route::parse("PUT", "/wait", None, false).expect_err("405").allow, Some("GET, HEAD"));
    }

    #[test]
    fn names_and_paths_both_name_a_route() {
        assert_eq!(target("wait").as_deref(), Ok("/wait"));
        assert_eq!(target("/asyncwait?ms=5").as_deref(), Ok("/asyncwait?ms=5"));
        assert_eq!(target("fib/42").as_deref(), Ok("/fib/42"));
        assert_eq!(target("fib").as_deref(), Ok("/fib/30"));
        assert!(target("fib/99").expect_err("out of range").contains("0 to 45"));
        assert!(target("nosuch").expect_err("unknown").contains("/plaintext"));
    }

    #[test]
    fn every_example_parses_to_its_own_route() {
        for route in ROUTES {
            assert_eq!(Route::parse_target(route.example).map(Route::name), Ok(route.name));
        }
    }
}
