//! The pool of kept connections, before there is any load.

use super::super::driver::{Driver, What};
use super::super::slot::State;
use super::Worker;
use std::io;
use std::time::{Duration, Instant};

/// Connections that are opened at a time, so that no server's queue of new ones overflows.
const OPENING_AT_ONCE: usize = 64;

impl<D: Driver> Worker<D> {
    /// Opens the pool, as far as that is possible within `limit`. What is missing is tried again when a
    /// request needs it.
    pub(in super::super) fn open(&mut self, limit: Duration) -> io::Result<()> {
        if !self.job.connections.are_kept() {
            return Ok(());
        }
        let start = Instant::now();
        let mut events = Vec::new();
        let (mut opening, mut left) = (0, self.closed.len());
        while (opening > 0 || left > 0) && start.elapsed() < limit {
            while opening < OPENING_AT_ONCE && left > 0 {
                if let Some(slot) = self.closed.pop_front() {
                    self.connect(slot, None, 0);
                }
                (opening, left) = (opening + 1, left - 1);
            }
            self.driver.poll(Some(Duration::from_millis(10)), &mut events)?;
            for event in events.drain(..) {
                let slot = event.slot as usize;
                if !self.driver.is_current(&event) {
                    continue;
                }
                match (self.slots[slot].state, event.what) {
                    (State::Connecting, What::Connected) => {
                        opening -= 1;
                        self.record.connected(0);
                        self.slots[slot].state = State::Idle;
                        self.idle.push_back(slot);
                    }
                    (State::Connecting, _) => {
                        opening -= 1;
                        self.close(slot);
                    }
                    // The server has closed it again.
                    _ => {
                        self.idle.retain(|idle| *idle != slot);
                        self.close(slot);
                    }
                }
            }
        }
        Ok(())
    }
}
