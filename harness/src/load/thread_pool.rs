//! `thread-pool`: blocking requests from the threads of a rayon pool, a new connection each.

use super::protocol::Order;
use super::sequential;
use super::tally::{Queue, Tally};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// What a thread needs for one blocking request, with room to spare.
const STACK: usize = 128 * 1024;

/// The pool. Built before the load begins: starting threads is not what is measured.
pub(super) fn build(threads: usize) -> Result<ThreadPool, String> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build()
        .map_err(|error| format!("cannot start {threads} threads: {error}"))
}

/// Every thread of the pool takes requests until none is left.
pub(super) fn run(pool: &ThreadPool, order: &Order, queue: &Queue) -> Tally {
    let mut sum = Tally::default();
    for tally in pool.broadcast(|_| sequential::run(order, queue)) {
        sum.add(tally);
    }
    sum
}
