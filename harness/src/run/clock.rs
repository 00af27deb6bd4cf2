//! The time that a run takes, and that of its blocks.

use std::time::{Duration, Instant};

/// When measuring began; nothing is known while rows are replayed.
#[derive(Debug, Default)]
pub(super) struct Clock {
    started: Option<Instant>,
    /// The first block that was measured from its beginning, and when that was.
    first_block: Option<(usize, Instant)>,
}

impl Clock {
    /// Begins to count from now.
    pub(super) fn start(&mut self) {
        self.started = Some(Instant::now());
    }

    /// Returns true if something is measured.
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some()
    }

    /// Notes that a block begins. Returns the first that was measured from its beginning.
    pub(super) fn begin_block(&mut self, block: usize) -> usize {
        self.first_block.get_or_insert_with(|| (block, Instant::now())).0
    }

    /// The time since the start; none without one.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// The time that a block takes, once `blocks` are complete. `None` if none was measured as a whole.
    pub(super) fn of_a_block(&self, blocks: usize) -> Option<Duration> {
        let (first, since) = self.first_block?;
        let measured = u32::try_from((blocks + 1).checked_sub(first)?).ok()?;
        since.elapsed().checked_div(measured)
    }
}
