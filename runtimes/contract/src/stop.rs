//! Stopping: what SIGTERM and SIGINT do to every server.
//!
//! The first signal asks for a drain, which the server's own code carries out by returning from its
//! accept loop and waiting for its connections. A thread of this module's keeps the promise in any
//! case: the process is gone, with status 0, when [`DRAIN_LIMIT`] has passed or a second signal comes.

use anyhow::{Context, Result};
use async_channel::{Receiver, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::convert::Infallible;
use std::thread;
use std::time::Duration;

/// How long requests in flight may take to finish after a signal.
pub const DRAIN_LIMIT: Duration = Duration::from_millis(900);

/// Says whether the process was asked to stop. Clones see the same.
#[derive(Debug, Clone)]
pub struct Stop(Receiver<Infallible>);

impl Stop {
    /// Starts to listen for signals.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> Result<Stop> {
        let (sender, receiver) = bounded(1);
        let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot install signal handlers")?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut arrived = signals.forever();
            arrived.next();
            // First, since to close wakes every task on this thread: a runtime whose queue of woken tasks is full (compio's,
            // with a thousand connections) makes it wait for workers that wait for the channel's lock, and nobody goes on.
            thread::spawn(|| {
                thread::sleep(DRAIN_LIMIT);
                std::process::exit(0);
            });
            // Nothing is ever sent: a closed channel is the message, and reaches every receiver.
            sender.close();
            arrived.next();
            std::process::exit(0);
        })?;
        Ok(Stop(receiver))
    }

    /// A stop that is requested by dropping what comes with it.
    #[cfg(all(test, feature = "hyper"))]
    pub(crate) fn by_hand() -> (async_channel::Sender<Infallible>, Stop) {
        let (sender, receiver) = bounded(1);
        (sender, Stop(receiver))
    }

    /// Waits until the process is asked to stop.
    ///
    /// To poll it takes a lock that all of the process shares: not to be done at every request.
    pub async fn requested(&self) {
        // An error is the only outcome: the channel was closed.
        let _closed = self.0.recv().await;
    }

    /// Blocks this thread until the process is asked to stop.
    pub fn wait(&self) {
        let _closed = self.0.recv_blocking();
    }

    /// Whether the process was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.0.is_closed()
    }
}

/// Counts what must end before a drain is over: whoever holds a [`Live`], or a clone of this, is waited for.
#[derive(Debug, Clone)]
pub struct Drain {
    live: async_channel::Sender<Infallible>,
    ended: Receiver<Infallible>,
}

/// A share in a [`Drain`]; a panic drops it as surely as an end does.
#[derive(Debug, Clone)]
pub struct Live {
    _held: async_channel::Sender<Infallible>,
}

impl Drain {
    /// Nothing to wait for yet.
    pub fn new() -> Drain {
        let (live, ended) = bounded(1);
        Drain { live, ended }
    }

    /// One more thing to wait for.
    pub fn hold(&self) -> Live {
        Live { _held: self.live.clone() }
    }

    /// Waits until every [`Live`] is dropped.
    pub async fn drained(self) {
        drop(self.live);
        let _closed = self.ended.recv().await;
    }

    /// Blocks this thread until every [`Live`] is dropped.
    pub fn wait(self) {
        drop(self.live);
        let _closed = self.ended.recv_blocking();
    }
}

impl Default for Drain {
    fn default() -> Self {
        Drain::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn a_drain_ends_with_its_last_holder_even_by_panic() {
        let drain = Drain::new();
        let held = drain.hold();
        let worker = thread::spawn(move || {
            let _held = held;
            std::panic::resume_unwind(Box::new("quietly"));
        });
        drain.wait();
        assert!(worker.join().is_err());
    }

    #[test]
    fn a_drain_waits_while_something_is_held_or_it_has_a_clone() {
        let drain = Drain::new();
        let (held, clone) = (drain.hold(), drain.clone());
        let mut drained = Box::pin(drain.drained());
        let mut is_drained = || block_on(poll_once(&mut drained)).is_some();
        assert!(!is_drained());
        drop(held);
        assert!(!is_drained());
        drop(clone);
        assert!(is_drained());
    }
}
