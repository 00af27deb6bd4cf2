//! The one handler: what every server does with a request, given how its runtime sleeps and blocks.

use crate::reply::Reply;
use crate::route::Route;
use futures_lite::FutureExt as _;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// How a call that may wait is written on this runtime, which `/asyncfib` puts a price on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// As an awaited future: every executor of futures.
    Awaited,
    /// As any other call: stackful coroutines and threads, which keep their stack while they wait.
    Plain,
}

/// What a contestant brings: its timer and its blocking pool.
///
/// A stackful runtime blocks its coroutine inside these futures, which are then ready when first polled.
///
/// Nothing here asks for `Send`. A runtime that moves its tasks between threads writes these futures so that
/// they are `Send`; the contract's own are then `Send`, too. One whose tasks stay on their thread need not.
pub trait Runtime: Clone + 'static {
    /// How an async call is written here.
    const CALLS: Calls;

    /// Sleeps on the runtime's own timer.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Runs `work` on the runtime's own blocking pool and waits for it without blocking the executor.
    fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T>;
}

/// What a handler has to know about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Threads of `/parfib`'s pool.
    pub parallelism: usize,
    /// Whether `/panic` exists.
    pub panic_route: bool,
}

/// Answers one request. Never panics: a panic in a handler becomes a 500.
pub async fn respond<R: Runtime>(
    runtime: &R,
    config: Config,
    method: &str,
    path: &str,
    query: Option<&str>,
) -> Reply {
    let start = Instant::now();
    let mut reply = match Route::parse(method, path, query, config.panic_route) {
        Ok(route) => match route.action().at_once() {
            Some(reply) => reply,
            None => AssertUnwindSafe(route.action().perform(runtime, config))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Reply::panicked()),
        },
        Err(refusal) => refusal.into(),
    };
    reply.elapsed = start.elapsed();
    reply
}

/// The result of work on the blocking pool, or its panic.
///
/// A type of its own: where the type of a future says `dyn Any`, rustc 1.95 cannot prove that a connection
/// which awaits that future is `Send`.
struct Outcome<T>(thread::Result<T>);

/// Runs `work` on the blocking pool. A panic is carried back here, since not every pool survives one.
pub(crate) async fn offload<R: Runtime, T: Send + 'static>(
    runtime: &R,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let Outcome(result) = runtime.run_blocking(move || Outcome(catch_unwind(AssertUnwindSafe(work)))).await;
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    /// Blocks its thread, like a thread-per-connection server.
    #[derive(Clone)]
    struct Inline;

    impl Runtime for Inline {
        const CALLS: Calls = Calls::Plain;
        async fn sleep(&self, duration: Duration) {
            thread::sleep(duration);
        }
        async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
            work()
        }
    }

    fn ask(method: &str, path: &str, query: Option<&str>, panic_route: bool) -> Reply {
        block_on(respond(&Inline, Config { parallelism: 1, panic_route }, method, path, query))
    }

    #[test]
    fn answers_are_the_expected_ones_and_say_how_long_they_took() {
        for (path, query) in
            [("/plaintext", None), ("/fib/20", None), ("/asyncfib/20", None), ("/parfib/20", None)]
        {
            let reply = ask("GET", path, query, false);
            let expected = Route::parse("GET", path, query, false).expect("a route").expected();
            assert_eq!((reply.status, &reply.body), (200, &expected.body));
        }
        for path in ["/wait", "/asyncwait"] {
            let reply = ask("GET", path, Some("ms=3"), false);
            assert_eq!(reply.body, r#"{"duration":0.003}"#);
            assert!(reply.elapsed >= Duration::from_millis(3));
        }
    }

    #[test]
    fn a_panic_is_a_500_and_the_route_exists_only_when_asked_for() {
        assert_eq!(ask("GET", "/panic", None, true).status, 500);
        assert_eq!(ask("GET", "/panic", None, false).status, 404);
        let panicked =
            block_on(AssertUnwindSafe(offload(&Inline, || -> u64 { panic!("in the pool") })).catch_unwind());
        assert!(panicked.is_err());
    }
}
