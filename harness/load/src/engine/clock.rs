//! Nanoseconds since the schedule began.

use std::time::Instant;

/// The one clock of a load: every worker and every stamp of a request uses it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    slow: bool,
}

impl Clock {
    /// A clock that reads 0 at `start`, and before. A `slow` one loses a tenth: a deliberate fault.
    pub(super) fn new(start: Instant, slow: bool) -> Clock {
        Clock { start, slow }
    }

    /// The time now, in ns.
    pub(super) fn now(&self) -> u64 {
        let ns = self.start.elapsed().as_nanos() as u64;
        if self.slow { ns - ns / 10 } else { ns }
    }
}
