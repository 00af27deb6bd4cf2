//! Blocking requests from the threads of a rayon pool, a new connection each.
//!
//! The threads wait at a gate before the load and stay where they are after it, until the process ends.
//! Left to itself an idle rayon thread looks for work with every other thread, and a thousand of them
//! that look at each other took more of the CPU than their requests did (0.5 to 4 ms a request).

use crate::protocol::Order;
use crate::sequential;
use crate::tally::Queue;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::thread;

/// What a thread needs for one blocking request, with room to spare.
const STACK: usize = 128 * 1024;

/// A pool whose threads are started and wait for the load to begin.
pub(super) struct Workers {
    /// To drop it waits for nobody.
    _pool: ThreadPool,
    threads: usize,
    ended: Receiver<()>,
    start: Arc<Barrier>,
}

impl Workers {
    /// Starts `threads` threads, each of which will take requests from `queue` until none is left.
    /// Starting threads is not what is measured.
    pub(super) fn start(threads: usize, order: &Arc<Order>, queue: &Arc<Queue>) -> Result<Workers, String> {
        // Holds every thread before it looks for work until its work is there.
        let enter = Arc::new(Barrier::new(threads + 1));
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK)
            .start_handler({
                let enter = Arc::clone(&enter);
                move |_| _ = enter.wait()
            })
            .build()
            .map_err(|error| format!("cannot start {threads} threads: {error}"))?;
        let (arrived, arrivals) = channel();
        let (has_ended, ended) = channel();
        let start = Arc::new(Barrier::new(threads + 1));
        pool.spawn_broadcast({
            let (order, queue, start) = (Arc::clone(order), Arc::clone(queue), Arc::clone(&start));
            move |_| {
                // The receivers outlive the threads: `run` waits for them.
                _ = arrived.send(());
                start.wait();
                sequential::run(&order, &queue);
                _ = has_ended.send(());
                loop {
                    thread::park();
                }
            }
        });
        enter.wait();
        if arrivals.iter().take(threads).count() < threads {
            return Err("a thread of the pool ended early".into());
        }
        Ok(Workers { _pool: pool, threads, ended, start })
    }

    /// Lets the threads begin, and returns when all requests have ended.
    pub(super) fn run(&self) {
        self.start.wait();
        self.ended.iter().take(self.threads).for_each(drop);
    }
}
