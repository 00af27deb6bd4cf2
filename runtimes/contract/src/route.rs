//! The table of routes: from a method and a request target to what is asked, and what the answer must be.

use crate::action::{Action, Answer, FIB, Wait};
use crate::fib;
use crate::handler::Config;
use crate::reply::Reply;
use std::borrow::Cow;
use std::time::Duration;

/// The wait when `?ms=` is absent: the article's 50 ms.
pub const DEFAULT_WAIT: Duration = Duration::from_millis(50);
/// The longest wait `?ms=` may ask for, in milliseconds.
pub const MAX_WAIT_MS: u32 = 60_000;
/// The largest n of `/fib` and `/parfib`: a few seconds of one core.
pub const MAX_FIB: u32 = 45;
/// The largest n of `/asyncfib`, which nothing else on its executor thread survives for long.
pub const MAX_ASYNC_FIB: u32 = 36;

/// One route: its names for people, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct RouteInfo {
    /// The name on command lines and in result files: the first segment of the path.
    pub name: &'static str,
    /// The path, with parameters in braces.
    pub template: &'static str,
    /// A path to measure or to try when no parameter is given; not to count, see `small`.
    pub example: &'static str,
    /// A path that asks for so little that what the server itself does for the route is a good part of it.
    pub small: &'static str,
    /// One line for `harness list`.
    pub summary: &'static str,
    /// The parser of the parameters, which says what the handler does.
    parse: Parse,
}

/// The parser of a route's parameters, by the shape of the route's path. Either kind gets the query, too.
#[derive(Debug, Clone, Copy)]
enum Parse {
    /// The path is the name alone.
    Name(fn(Option<&str>) -> Result<Action, Refusal>),
    /// The path is the name and one more segment.
    Segment(fn(&str, Option<&str>) -> Result<Action, Refusal>),
}

/// Every route, in the order `harness list` shows them. A new route is a new entry here, and its transcripts.
pub const ROUTES: &[RouteInfo] = &[
    RouteInfo {
        name: "plaintext",
        template: "/plaintext",
        example: "/plaintext",
        small: "/plaintext",
        summary: "13 constant bytes: what a request costs by itself",
        parse: Parse::Name(|_| Ok(Action { wait: None, answer: Answer::Text("Hello, World!") })),
    },
    RouteInfo {
        name: "wait",
        template: "/wait?ms=50",
        example: "/wait",
        small: "/wait?ms=5",
        summary: "a blocking sleep on the blocking pool",
        parse: Parse::Name(|query| Ok(Action { wait: Some(Wait::Pool(ms(query)?)), answer: Answer::Waited })),
    },
    RouteInfo {
        name: "asyncwait",
        template: "/asyncwait?ms=50",
        example: "/asyncwait",
        small: "/asyncwait?ms=5",
        summary: "an async sleep on the runtime's timer",
        parse: Parse::Name(|query| {
            Ok(Action { wait: Some(Wait::Timer(ms(query)?)), answer: Answer::Waited })
        }),
    },
    RouteInfo {
        name: "fib",
        template: "/fib/{n}",
        example: "/fib/30",
        small: "/fib/15",
        summary: "naive recursive Fibonacci on the blocking pool, n up to 45",
        parse: Parse::Segment(|n, _| {
            let (n, compute) = (number(n, MAX_FIB)?, |n, _| fib::fib(n));
            Ok(Action { wait: None, answer: Answer::Pool { n, compute, number: FIB } })
        }),
    },
    RouteInfo {
        name: "asyncfib",
        template: "/asyncfib/{n}",
        example: "/asyncfib/25",
        small: "/asyncfib/15",
        summary: "the same, every call an awaited async call, on the executor, n up to 36",
        parse: Parse::Segment(|n, _| {
            let n = number(n, MAX_ASYNC_FIB)?;
            let answer = Answer::Executor { n, awaited: fib::async_fib, plain: fib::fib, number: FIB };
            Ok(Action { wait: None, answer })
        }),
    },
    RouteInfo {
        name: "parfib",
        template: "/parfib/{n}",
        example: "/parfib/30",
        small: "/parfib/15",
        summary: "the same on rayon's join, n up to 45",
        parse: Parse::Segment(|n, _| {
            let n = number(n, MAX_FIB)?;
            let compute = |n, config: Config| fib::par_fib(n, config.parallelism);
            Ok(Action { wait: None, answer: Answer::Pool { n, compute, number: FIB } })
        }),
    },
];

/// The cheapest route: what readiness checks and probes ask for.
pub const PROBE: &RouteInfo = &ROUTES[0];

/// The route that panics, for the servers that were started with `--panic-route`.
pub(crate) const PANIC: &RouteInfo = &RouteInfo {
    name: "panic",
    template: "/panic",
    example: "/panic",
    small: "/panic",
    summary: "a panic in the handler",
    parse: Parse::Name(|_| Ok(Action { wait: None, answer: Answer::Panic })),
};

/// A request that can be answered: its route, and what that does with the request's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    info: &'static RouteInfo,
    action: Action,
}

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the reply: 404, 405 or 422.
    pub status: u16,
    /// One line that says what is wrong.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, detail: detail.into() }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        let allow = (refusal.status == 405).then_some("GET, HEAD");
        Reply { allow, ..Reply::error(refusal.status, &refusal.detail) }
    }
}

impl Route {
    /// Parses a request. The path comes without its query.
    ///
    /// # Errors
    /// 404 for an unknown path, else 405 for a method other than GET and HEAD, else 422 for a parameter
    /// out of its range.
    pub fn parse(method: &str, path: &str, query: Option<&str>, panic_route: bool) -> Result<Route, Refusal> {
        let (info, segment) = find(path, panic_route).ok_or_else(no_such_path)?;
        let allowed = || match method {
            "GET" | "HEAD" => Ok(()),
            _ => Err(Refusal::new(405, "only GET and HEAD are allowed")),
        };
        let action = match (info.parse, segment) {
            (Parse::Name(parse), None) => allowed().and_then(|()| parse(query)),
            (Parse::Segment(parse), Some(segment)) if !segment.is_empty() && !segment.contains('/') => {
                allowed().and_then(|()| parse(segment, query))
            }
            _ => Err(no_such_path()),
        };
        Ok(Route { info, action: action? })
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
        Route::parse("GET", path, query, false).map_err(|refusal| refusal.detail.into_owned())
    }

    /// The route's name in [`ROUTES`].
    pub fn name(self) -> &'static str {
        self.info.name
    }

    /// The time a request must take at the least, whatever the server: the wait it asks for.
    pub fn delay(self) -> Duration {
        self.action.delay()
    }

    /// Whether a request occupies a thread of the blocking pool while it is answered.
    pub fn blocks(self) -> bool {
        self.action.blocks()
    }

    /// The reply of a server that is right; its `elapsed` is zero.
    pub fn expected(self) -> Reply {
        self.action.expected()
    }

    /// What the handler has to do.
    pub(crate) fn action(self) -> Action {
        self.action
    }
}

/// Returns the route of a path, and what the path has behind the slash that ends the name.
fn find(path: &str, panic_route: bool) -> Option<(&'static RouteInfo, Option<&str>)> {
    let path = path.strip_prefix('/')?;
    // By bytes: a search for a character is a call of its own.
    let (name, segment) = match path.bytes().position(|byte| byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    };
    let listed = ROUTES.iter().find(|route| route.name == name);
    let info = listed.or_else(|| Some(PANIC).filter(|route| panic_route && route.name == name))?;
    Some((info, segment))
}

/// The path and query that `given` means on a command line: a path, a route's name, or a name with its
/// parameter (`wait`, `fib/30`, `/asyncwait?ms=5`).
///
/// # Errors
/// One line that says what is wrong with it.
pub fn target(given: &str) -> Result<String, String> {
    if let Some(route) = named(given) {
        return Ok(route.example.to_owned());
    }
    let path = format!("/{}", given.strip_prefix('/').unwrap_or(given));
    Route::parse_target(&path).map(|_| path)
}

/// The route that `given` names without a parameter; a slash before it is no harm.
pub fn named(given: &str) -> Option<&'static RouteInfo> {
    let bare = given.strip_prefix('/').unwrap_or(given);
    ROUTES.iter().find(|route| route.name == bare)
}

fn no_such_path() -> Refusal {
    let templates: Vec<&str> =
        ROUTES.iter().map(|r| r.template.split('?').next().unwrap_or_default()).collect();
    Refusal::new(404, format!("no such path: there are {}", templates.join(", ")))
}

/// The parameter `ms`: how long to wait, [`DEFAULT_WAIT`] without it.
fn ms(query: Option<&str>) -> Result<Duration, Refusal> {
    let mut given =
        query.into_iter().flat_map(|q| q.split('&')).filter_map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name == "ms").then_some(value),
            None => (pair == "ms").then_some(""),
        });
    let Some(value) = given.next() else { return Ok(DEFAULT_WAIT) };
    match (decimal(value), given.next()) {
        (Some(ms), None) if ms <= MAX_WAIT_MS => Ok(Duration::from_millis(ms.into())),
        _ => Err(Refusal::new(422, format!("ms must be a whole number from 0 to {MAX_WAIT_MS}, given once"))),
    }
}

/// The parameter `n`: a whole number, at most `max`.
fn number(n: &str, max: u32) -> Result<u32, Refusal> {
    decimal(n)
        .filter(|n| *n <= max)
        .ok_or_else(|| Refusal::new(422, format!("n must be a whole number from 0 to {max}")))
}

/// Digits only: `parse` alone would also take a plus sign.
fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, path: &str, query: Option<&str>) -> u16 {
        Route::parse(method, path, query, false).map_or_else(|refusal| refusal.status, |_| 200)
    }

    #[test]
    fn replies_are_the_article_s() {
        for (target, body) in [
            ("/plaintext", "Hello, World!"),
            ("/wait", r#"{"duration":0.05}"#),
            ("/asyncwait?ms=1000", r#"{"duration":1.0}"#),
            ("/wait?ms=1118", r#"{"duration":1.118}"#),
            ("/wait?ms=0", r#"{"duration":0.0}"#),
            ("/fib/30", r#"{"fib":1346269}"#),
        ] {
            assert_eq!(Route::parse_target(target).expect("a route").expected().body, body, "{target}");
        }
    }

    #[test]
    fn a_route_says_how_long_it_takes_and_whether_it_blocks_a_thread() {
        for (target, delay_ms, blocks) in [
            ("/plaintext", 0, false),
            ("/wait?ms=7", 7, true),
            ("/asyncwait?ms=7", 7, false),
            ("/fib/3", 0, true),
            ("/asyncfib/3", 0, false),
            ("/parfib/3", 0, true),
        ] {
            let route = Route::parse_target(target).expect("a route");
            assert_eq!((route.delay().as_millis(), route.blocks()), (delay_ms, blocks), "{target}");
        }
    }

    #[test]
    fn nothing_but_the_panic_path_panics() {
        let names = ROUTES.iter().map(|route| route.name).chain(["", "nosuch", "pan", "panics", "Panic"]);
        for path in names.flat_map(|name| ["", "/", "/3", "/3/4"].map(|rest| format!("/{name}{rest}"))) {
            for panic_route in [false, true] {
                let parsed = Route::parse("GET", &path, None, panic_route);
                let panics = parsed.is_ok_and(|route| matches!(route.action.answer, Answer::Panic));
                assert!(!panics, "{path}");
            }
        }
        assert_eq!(status("GET", PANIC.example, None), 404);
        let panic = Route::parse("GET", PANIC.example, None, true).expect("it is there");
        assert_eq!((panic.name(), panic.expected().status), ("panic", 500));
    }

    #[test]
    fn a_template_shows_the_shape_of_its_path() {
        for route in ROUTES {
            assert!(route.template.starts_with(&format!("/{}", route.name)), "{}", route.template);
            assert_eq!(route.template.contains("/{"), matches!(route.parse, Parse::Segment(_)));
        }
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
        let refusal = Route::parse("PUT", "/wait", None, false).expect_err("405");
        assert_eq!(Reply::from(refusal).allow, Some("GET, HEAD"));
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
            for path in [route.example, route.small] {
                assert_eq!(Route::parse_target(path).map(Route::name), Ok(route.name));
            }
        }
    }
}
