//! An order as the engine needs it: times in nanoseconds of its own clock, worked out once.

use crate::protocol::{Expect, Load, Order};

/// What is the same for every worker of an order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) load: Load,
    pub(super) expect: Expect,
    pub(super) timeout_ns: u64,
    /// When no more requests become due.
    pub(super) end: u64,
}

impl Job {
    pub(super) fn new(order: &Order, load: &Load) -> Job {
        Job {
            load: load.clone(),
            expect: order.expect.clone(),
            timeout_ns: order.timeout.as_nanos() as u64,
            end: (load.warmup + load.duration).as_nanos() as u64,
        }
    }
}
