//! A thread per worker, a listener each: how runtimes start that share nothing between their cores.

use crate::server::Server;
use anyhow::{Result, anyhow};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::thread;

/// What one of the threads starts with.
#[derive(Debug)]
pub struct Core {
    /// Which of the threads this is, from 0.
    pub index: usize,
    /// The same for all.
    pub server: Server,
    /// A listener of its own, non-blocking, on the one port.
    pub listener: TcpListener,
    /// Dropped when the runtime stands, and when it cannot be made.
    start: Sender<()>,
}

impl Core {
    /// This core's share of the process's blocking threads, at least one, for a runtime whose pools cannot be shared.
    pub fn blocking_threads(&self) -> usize {
        share(self.server.blocking_threads(), self.server.workers(), self.index)
    }

    /// To be called when the runtime stands: the ready line waits for every core. Gives the server and the listener.
    pub fn started(self) -> (Server, TcpListener) {
        // The receiver is there until every core has started.
        self.start.send(()).ok();
        (self.server, self.listener)
    }
}

/// The `index`th of `parts` parts of `whole`: together no more than the whole, but for parts that would be none.
fn share(whole: usize, parts: usize, index: usize) -> usize {
    let up_to = |index| index * whole / parts;
    (up_to(index + 1) - up_to(index)).max(1)
}

/// Runs `core` on a thread for each worker. Prints the ready line when all have started, and returns when all have
/// drained, or at once when one has failed: its share of the port would be answered by nobody.
///
/// # Errors
/// The address is taken, no thread can be started, or a core's error.
pub fn run(server: Server, core: impl Fn(Core) -> Result<()> + Clone + Send + 'static) -> Result<()> {
    let workers = server.workers();
    let listeners = server.listeners(workers)?;
    let addr = listeners[0].local_addr()?;
    let (start, has_started) = mpsc::channel();
    let (end, has_ended) = mpsc::channel();
    for (index, listener) in listeners.into_iter().enumerate() {
        let (core, end) = (core.clone(), end.clone());
        let state = Core { index, server: server.clone(), listener, start: start.clone() };
        thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| core(state)));
            end.send(ended.unwrap_or_else(|_| Err(anyhow!("core {index} panicked"))))
        })?;
    }
    drop(start);
    if has_started.iter().count() == workers {
        server.ready(addr, workers)?;
    }
    has_ended.iter().take(workers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_up_the_whole_and_none_is_empty() {
        let shares = |whole, parts| (0..parts).map(|index| share(whole, parts, index)).collect::<Vec<_>>();
        assert_eq!(shares(512, 2), [256, 256]);
        assert_eq!(shares(7, 3), [2, 2, 3]);
        assert_eq!(shares(1, 3), [1, 1, 1]);
    }
}
