//! What a worker does now and then: timeouts.

use super::super::driver::Driver;
use super::super::slot::{Slot, State};
use super::Worker;
use crate::fate::Fate;

/// How often timeouts and the signal to stop are looked at.
const TICK_NS: u64 = 10_000_000;

impl<D: Driver> Worker<D> {
    /// Ends what has taken too long, and takes connections into use again that have rested.
    pub(super) fn tick(&mut self, now: u64) {
        self.next_tick = now + TICK_NS;
        while let Some((_, slot)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            self.next_on(slot, now);
        }
        let deadline = now.saturating_sub(self.job.timeout_ns);
        while let Some(request) = self.waiting.pop_front_if(|request| request.due < deadline) {
            self.record.ended(&request, &Fate::Shed, now);
        }
        // Ten looks in the time of a timeout, and at the least one connection in each.
        let ticks = (self.job.timeout_ns / 10 / TICK_NS).clamp(1, 10) as usize;
        for _ in 0..self.slots.len().div_ceil(ticks) {
            let slot = self.looked_at;
            self.looked_at = (slot + 1) % self.slots.len();
            let Slot { state, request, since, .. } = &self.slots[slot];
            match (state, request) {
                (State::Connecting, request) if request.map_or(*since, |r| r.due) < deadline => {
                    self.not_connected(slot, Fate::TimedOut, now);
                }
                (State::Busy, Some(request)) if request.due < deadline => {
                    self.break_off(slot, &Fate::TimedOut, now);
                }
                _ => {}
            }
        }
    }
}
