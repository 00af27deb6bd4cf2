//! One thread of the engine: takes requests up when they are due, sends them on its connections, and gives
//! each one its fate.

mod opening;
#[cfg(test)]
mod tests;
mod tick;

use super::clock::Clock;
use super::driver::{Doing, Driver, Event, Received, What};
use super::job::Job;
use super::record::Record;
use super::request::Request;
use super::slot::{Slot, State, Step};
use super::sources::Sources;
use crate::fate::Fate;
use crate::protocol::{Mutation, Piece};
use crate::schedule::Schedule;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Requests that are sent before answers are looked for again: a generator that is late must not make
/// answers wait as well.
const SENDS_AT_ONCE: usize = 16;
/// The most requests that wait for a connection, which bounds the memory they take. More are shed.
const MAX_WAITING: usize = 1 << 20;
/// How long a connection that could not be opened is left alone, where its next request is not due yet.
const REST_NS: u64 = 10_000_000;

pub(super) struct Worker<D> {
    driver: D,
    job: Job,
    sources: Sources,
    schedule: Option<Schedule>,
    next_due: Option<u64>,
    slots: Vec<Slot>,
    /// Open connections without a request.
    idle: VecDeque<usize>,
    /// Slots without a connection.
    closed: VecDeque<usize>,
    /// Slots that are left alone until a time.
    resting: VecDeque<(u64, usize)>,
    /// Requests that are due and wait for a connection.
    waiting: VecDeque<Request>,
    record: Record,
    /// Its share of the schedule, and of how many.
    share: (usize, usize),
    busy: usize,
    next_tick: u64,
    /// Where the next look for timeouts begins.
    looked_at: usize,
}

impl<D: Driver> Worker<D> {
    /// A worker with `connections` connections and the share `share` of `of` of the schedule.
    pub(super) fn new(
        job: Job,
        sources: Sources,
        request: Vec<u8>,
        connections: usize,
        (share, of): (usize, usize),
    ) -> io::Result<Worker<D>> {
        let driver = D::new(connections, request, job.connections.are_kept())?;
        let mut schedule = job.schedule(share, of);
        let next_due = schedule.as_mut().and_then(Iterator::next);
        Ok(Worker {
            driver,
            record: Record::new(&job),
            sources,
            schedule,
            next_due,
            slots: std::iter::repeat_with(Slot::default).take(connections).collect(),
            idle: VecDeque::with_capacity(connections),
            closed: (0..connections).collect(),
            resting: VecDeque::new(),
            waiting: VecDeque::with_capacity(1024),
            share: (share, of),
            busy: 0,
            next_tick: 0,
            looked_at: 0,
            job,
        })
    }

    /// Carries the load out, until every request has its fate or `stop` says so. A load in the background
    /// also ends when a request fails, on all workers. Calls `under_way` once, when it is.
    pub(super) fn run(
        &mut self,
        clock: &Clock,
        stop: &AtomicBool,
        under_way: impl Fn(),
    ) -> Result<Record, String> {
        let mut told = false;
        let mut events = Vec::with_capacity(1024);
        self.begin(clock);
        loop {
            self.take_up(clock);
            let now = clock.now();
            if now >= self.next_tick {
                self.tick(now);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            if self.is_over(now) {
                break;
            }
            let wait = self.wait(now);
            self.driver.poll(wait, &mut events).map_err(|error| format!("{}: {error}", D::NAME))?;
            if wait.is_none() && events.is_empty() {
                self.record.spun(now, clock.now());
            }
            for event in events.drain(..) {
                self.handle(event, clock);
            }
            if self.job.background {
                if !told && self.is_under_way() {
                    told = true;
                    under_way();
                }
                if self.record.first_error.is_some() {
                    stop.store(true, Ordering::Relaxed);
                    break;
                }
            }
        }
        self.end(clock.now());
        Ok(std::mem::replace(&mut self.record, Record::new(&self.job)))
    }

    /// Makes ready for the next piece of its load, whose clock begins anew, on the connections there are.
    pub(super) fn turn_to(&mut self, piece: &Piece, seed: u64) {
        self.job.turn_to(piece, seed);
        self.record.due_until(self.job.end);
        let (share, of) = self.share;
        self.schedule = self.job.schedule(share, of);
        self.next_due = self.schedule.as_mut().and_then(Iterator::next);
        self.next_tick = 0;
        self.resting.iter_mut().for_each(|(until, _)| *until = 0);
        if self.schedule.is_none() {
            // All of them are given a request, or opened for one.
            self.resting.clear();
        }
        for slot in &mut self.slots {
            slot.since = 0;
        }
    }

    /// Gives every connection of a closed loop its first request.
    fn begin(&mut self, clock: &Clock) {
        if self.schedule.is_some() {
            return;
        }
        for slot in 0..self.slots.len() {
            match self.slots[slot].state {
                State::Idle => {
                    let now = clock.now();
                    self.idle.pop_front();
                    self.next_on(slot, now);
                }
                _ => self.resting.push_back((0, slot)),
            }
        }
        self.closed.clear();
    }

    /// Whether the schedule has begun, or every connection of a closed loop has sent its first request.
    fn is_under_way(&self) -> bool {
        self.schedule.is_some() || self.slots.iter().all(|slot| slot.has_sent)
    }

    /// Whether nothing is under way and nothing will be.
    fn is_over(&self, now: u64) -> bool {
        let drained = self.busy == 0 && self.waiting.is_empty();
        let forgetful = self.job.mutation == Some(Mutation::DropInFlight);
        self.next_due.is_none_or(|due| due >= self.job.end) && now >= self.job.end && (drained || forgetful)
    }

    /// How long to wait for events; `None` is not at all.
    fn wait(&self, now: u64) -> Option<Duration> {
        let mut until = self.next_tick;
        if let Some((rested, _)) = self.resting.front() {
            until = until.min(*rested);
        }
        if now < self.job.end {
            until = until.min(self.job.end);
        }
        if let Some(due) = self.next_due.filter(|due| *due < self.job.end) {
            let spin = self.job.spin_ns;
            if due <= now + spin {
                return None;
            }
            until = until.min(due - spin);
        }
        (until > now).then(|| Duration::from_nanos(until - now))
    }

    /// Takes up what is due.
    fn take_up(&mut self, clock: &Clock) {
        for _ in 0..SENDS_AT_ONCE {
            let Some(due) = self.next_due.filter(|due| *due < self.job.end) else { return };
            let now = clock.now();
            if due > now {
                return;
            }
            self.next_due = self.schedule.as_mut().and_then(Iterator::next);
            self.record.began(due, now);
            let request = Request { due, taken: now, sent: 0 };
            match self.idle.pop_front() {
                Some(slot) => self.send(slot, request, now),
                None => self.queue(request, now),
            }
        }
    }

    /// Has a request wait for a connection, and opens one if there is room.
    fn queue(&mut self, request: Request, now: u64) {
        match self.closed.pop_front() {
            // With a connection for each request, this is its own.
            Some(slot) if !self.job.connections.are_kept() => self.connect(slot, Some(request), now),
            Some(slot) => {
                self.waiting.push_back(request);
                self.connect(slot, None, now);
            }
            None if self.waiting.len() >= MAX_WAITING => self.record.ended(&request, &Fate::Shed, now),
            None => self.waiting.push_back(request),
        }
    }

    /// A slot can take its next request, if there is one.
    fn next_on(&mut self, slot: usize, now: u64) {
        let request = if self.schedule.is_some() {
            self.waiting.pop_front()
        } else if now < self.job.end {
            self.record.began(now, now);
            Some(Request { due: now, taken: now, sent: 0 })
        } else {
            None
        };
        match (request, self.slots[slot].state) {
            (Some(request), State::Idle) => self.send(slot, request, now),
            (Some(request), _) => self.connect(slot, Some(request), now),
            (None, State::Idle) => self.idle.push_back(slot),
            (None, _) => self.closed.push_back(slot),
        }
    }

    fn connect(&mut self, slot: usize, request: Option<Request>, now: u64) {
        self.busy += usize::from(request.is_some());
        self.slots[slot].request = request;
        self.slots[slot].since = now;
        self.slots[slot].state = State::Connecting;
        match self.sources.socket() {
            Ok(socket) => self.driver.connect(slot, socket, &self.sources.to()),
            Err(error) => self.not_connected(slot, Fate::ErrConnect(error.to_string()), now),
        }
    }

    fn send(&mut self, slot: usize, request: Request, now: u64) {
        self.busy += usize::from(self.slots[slot].request.is_none());
        self.slots[slot].request = Some(Request { sent: now, ..request });
        self.slots[slot].state = State::Busy;
        self.slots[slot].has_sent = true;
        self.driver.send(slot);
    }

    /// Closes a slot's connection, for use or rest.
    fn shut(&mut self, slot: usize) {
        self.driver.close(slot);
        self.slots[slot].clear();
    }

    /// Closes a slot's connection until a request needs it.
    fn close(&mut self, slot: usize) {
        self.shut(slot);
        self.closed.push_back(slot);
    }

    /// The request of a slot ends.
    fn settle(&mut self, slot: usize, fate: &Fate, now: u64) {
        if let Some(request) = self.slots[slot].request.take() {
            self.busy -= 1;
            self.record.ended(&request, fate, now);
        }
    }

    fn not_connected(&mut self, slot: usize, fate: Fate, now: u64) {
        self.shut(slot);
        if self.slots[slot].request.is_some() {
            self.settle(slot, &fate, now);
        } else if let Some(request) = self.waiting.pop_front() {
            // It was opened for the request that has waited longest.
            self.record.ended(&request, &fate, now);
        }
        if self.schedule.is_none() {
            // A closed loop would ask again at once, and count nothing but refusals.
            self.resting.push_back((now + REST_NS, slot));
        } else if self.waiting.is_empty() {
            self.closed.push_back(slot);
        } else {
            self.resting.push_back((now, slot));
        }
    }

    fn handle(&mut self, mut event: Event, clock: &Clock) {
        let slot = event.slot as usize;
        if !self.driver.is_current(&event) {
            return;
        }
        match event.what {
            What::Connected => {
                let now = clock.now();
                self.record.connected(now);
                self.slots[slot].state = State::Idle;
                match self.slots[slot].request {
                    Some(request) => self.send(slot, request, now),
                    None => self.next_on(slot, now),
                }
            }
            What::Failed { doing, errno } => {
                let (now, error) = (clock.now(), io::Error::from_raw_os_error(errno).to_string());
                match doing {
                    Doing::Connecting => self.not_connected(slot, Fate::ErrConnect(error), now),
                    Doing::Sending => self.break_off(slot, &Fate::ErrWrite(error), now),
                    Doing::Receiving => self.break_off(slot, &Fate::ErrRead(error), now),
                }
            }
            _ => self.receive(&mut event, clock),
        }
    }

    fn receive(&mut self, event: &mut Event, clock: &Clock) {
        let slot = event.slot as usize;
        loop {
            let step = match self.driver.receive(event) {
                Received::Nothing => return,
                Received::Bytes(bytes) => self.slots[slot].feed(bytes, &self.job.expect),
                Received::Ended => self.slots[slot].ended(&self.job.expect),
                Received::Failed(error) => Step::Broken(Fate::ErrRead(error.to_string())),
            };
            let now = clock.now();
            match step {
                Step::More => self.driver.more(slot),
                Step::Answered { fate, keep_alive } => {
                    self.settle(slot, &fate, now);
                    if keep_alive && self.job.connections.are_kept() {
                        self.slots[slot].state = State::Idle;
                    } else {
                        self.shut(slot);
                    }
                    self.next_on(slot, now);
                    // What else this event has is of a connection that has moved on.
                    if !self.driver.is_current(event) {
                        return;
                    }
                }
                Step::Broken(fate) => return self.break_off(slot, &fate, now),
            }
        }
    }

    /// A connection is of no use any more; the request on it, if any, has this fate.
    fn break_off(&mut self, slot: usize, fate: &Fate, now: u64) {
        let had_request = self.slots[slot].request.is_some();
        self.settle(slot, fate, now);
        self.shut(slot);
        if had_request || self.schedule.is_none() {
            self.next_on(slot, now);
        } else {
            self.idle.retain(|idle| *idle != slot);
            self.closed.push_back(slot);
        }
    }

    /// Closes the connections of requests that are forgotten, whose answers would come in the next piece.
    fn forget_requests(&mut self) {
        self.waiting.clear();
        for slot in 0..self.slots.len() {
            if self.slots[slot].request.take().is_some() {
                self.busy -= 1;
                self.close(slot);
            }
        }
    }

    /// What is still under way is given up.
    fn end(&mut self, now: u64) {
        if self.job.mutation == Some(Mutation::DropInFlight) {
            self.record.forget();
            if self.job.in_pieces {
                self.forget_requests();
                self.record.end(now);
            }
            return;
        }
        for slot in 0..self.slots.len() {
            self.settle(slot, &Fate::InFlight, now);
        }
        for request in std::mem::take(&mut self.waiting) {
            self.record.ended(&request, &Fate::InFlight, now);
        }
        self.record.end(now);
    }
}
