//! What a handler can do: the few things that the table of routes is made of.

use crate::fib;
use crate::handler::{Calls, Config, Runtime, offload};
use crate::reply::{JSON, Reply, TEXT};
use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

/// The work of one request: at most one wait, then the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action {
    /// The wait before the answer.
    pub(crate) wait: Option<Wait>,
    /// Where the answer comes from.
    pub(crate) answer: Answer,
}

/// A wait, and what waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// The task, on the runtime's timer.
    Timer(Duration),
    /// A thread of the blocking pool, which sleeps.
    Pool(Duration),
}

/// The source of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// A text that never changes.
    Text(&'static str),
    /// The time that the request asked to wait.
    Waited,
    /// A number that a thread of the blocking pool computes from `n`.
    Pool { n: u32, compute: fn(u32, Config) -> u64, number: Number },
    /// A number that the executor's own thread computes from `n`: in awaited calls, or in plain ones on
    /// a runtime that knows no others.
    Executor { n: u32, awaited: fn(u32) -> Awaited, plain: fn(u32) -> u64, number: Number },
    /// None: the handler panics.
    Panic,
}

/// A computation in awaited calls.
pub(crate) type Awaited = Pin<Box<dyn Future<Output = u64> + Send>>;

/// How a computed number is answered, and how it is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    /// Makes the number an answer.
    reply: fn(u64) -> Reply,
    /// Gives the right number for an n, at no cost worth mentioning.
    right: fn(u32) -> u64,
}

/// The number of the Fibonacci routes.
pub(crate) const FIB: Number =
    Number { reply: |value| Reply::ok(JSON, format!("{{\"fib\":{value}}}")), right: fib::value };

impl Action {
    /// Does what is asked, and returns the answer.
    pub(crate) async fn perform<R: Runtime>(self, runtime: &R, config: Config) -> Reply {
        match self.wait {
            Some(Wait::Timer(time)) => runtime.sleep(time).await,
            Some(Wait::Pool(time)) => offload(runtime, move || thread::sleep(time)).await,
            None => {}
        }
        match self.answer {
            Answer::Pool { n, compute, number } => {
                (number.reply)(offload(runtime, move || compute(n, config)).await)
            }
            Answer::Executor { n, awaited, plain, number } => (number.reply)(match R::CALLS {
                Calls::Awaited => awaited(n).await,
                Calls::Plain => plain(n),
            }),
            Answer::Panic => panic!("the panic route was asked for"),
            Answer::Text(_) | Answer::Waited => self.expected(),
        }
    }

    /// Returns the answer where it takes neither waiting nor computing: without the price of a future, and of catching
    /// a panic that cannot be.
    pub(crate) fn at_once(self) -> Option<Reply> {
        match (self.wait, self.answer) {
            (None, Answer::Text(text)) => Some(Reply::ok(TEXT, text)),
            _ => None,
        }
    }

    /// Returns the right answer, without doing what it takes.
    pub(crate) fn expected(self) -> Reply {
        match self.answer {
            Answer::Text(text) => Reply::ok(TEXT, text),
            // Debug prints the shortest form with a decimal point: 0.05, 1.0. Not as_secs_f64: it adds two
            // rounded parts, and makes 1.1179999999999999 of 1118 ms.
            Answer::Waited => {
                Reply::ok(JSON, format!("{{\"duration\":{:?}}}", self.delay().as_millis() as f64 / 1e3))
            }
            Answer::Pool { n, number, .. } | Answer::Executor { n, number, .. } => {
                (number.reply)((number.right)(n))
            }
            Answer::Panic => Reply::panicked(),
        }
    }

    /// Returns the time that the wait takes at the least, on any server.
    pub(crate) fn delay(self) -> Duration {
        match self.wait {
            Some(Wait::Timer(time) | Wait::Pool(time)) => time,
            None => Duration::ZERO,
        }
    }

    /// Returns true if a thread of the blocking pool is occupied at some time.
    pub(crate) fn blocks(self) -> bool {
        matches!(self.wait, Some(Wait::Pool(_))) || matches!(self.answer, Answer::Pool { .. })
    }
}
